"""A body that ends early without an error is asked again, and is never taken for damage of what is stored."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs as pafs

from madray.errors import BadInput
from madray.filesystems import Patience
from madray.store import Store


class Short(io.BytesIO):
    """A file of 4 bytes of which 2 come."""

    def size(self) -> int:
        return 4


class Cutting:
    """A filesystem far away whose next `left` reads of samples end early."""

    type_name = "s3"

    def __init__(self, left: int) -> None:
        self.left = left
        self._local = pafs.LocalFileSystem()

    def open_input_file(self, path: str) -> Any:
        if path.endswith("samples.parquet") and self.left:
            self.left -= 1
            return Short(b"wh")
        return self._local.open_input_file(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._local, name)


@pytest.mark.parametrize("left", [3, 10**6])
def test_a_short_body_is_asked_again_and_is_no_damage(tmp_path: Path, left: int) -> None:
    Store.open(tmp_path).commit("draws", "k", {"samples.parquet": b"whole"[:4]})
    patience = Patience(first_s=0.001, longest_s=0.01, total_s=0.1)
    store = Store(Cutting(left), str(tmp_path), "s3://bucket", patience=patience)
    if left == 3:
        assert store.read("draws", "k") == {"samples.parquet": b"whol"}
    else:
        with pytest.raises(BadInput, match="2 of 4 bytes came"):
            store.read("draws", "k")
    assert store.notes == []
    assert store.has("draws", "k")
