"""`Store.check_format` lets pass what is ours, was ours, or can become ours, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from madray.errors import BadInput
from madray.store import Store
from madray.store_format import claim_of


def test_the_format_is_checked_and_nothing_is_written(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    assert store.check_format() is None  # no store yet
    assert not (tmp_path / "store").exists()
    store.claim()
    claim = tmp_path / "store" / "madray.json"
    whole = claim.read_bytes()
    for passes in (whole, whole[:-3], b"", whole.replace(b": 1", b": 3"), b'{"format": 1}'):
        claim.write_bytes(passes)
        assert store.check_format() == passes
        assert claim.read_bytes() == passes
    for other in (claim_of(2), b'{"format": 99}'):
        claim.write_bytes(other)
        with pytest.raises(BadInput, match=r"expected a store of format 1 in .*; try another --store"):
            store.check_format()
        assert claim.read_bytes() == other
    assert store.notes == []
    occupied = tmp_path / "occupied"
    occupied.write_text("a file, where a folder should be")
    assert Store.open(occupied).check_format() is None
