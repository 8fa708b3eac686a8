"""No name, key or record leads out of a store, whoever wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from madray.errors import BadInput
from madray.ledger import Ledger
from madray.store import Store

OUTSIDE = ["..", "../../secret", "/etc", "a/../../b", "a//b", "", ".", "a\\b", "a\0b"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "done.json").write_text("kept")
    return Store.open(tmp_path / "store")


@pytest.mark.parametrize("key", OUTSIDE)
def test_a_key_that_leads_outside_is_refused_by_everything(store: Store, tmp_path: Path, key: str) -> None:
    for act in (
        lambda: store.has("draws", key),
        lambda: store.read("draws", key),
        lambda: store.commit("draws", key, {"a": b"1"}),
        lambda: store.delete("draws", key),
        lambda: store.forget("draws", key),
        lambda: store.names(f"draws/{key}"),
        lambda: Ledger(store, key).find(),
    ):
        with pytest.raises(BadInput, match="expected the path of something inside"):
            act()
    assert (tmp_path / "secret" / "done.json").read_text() == "kept"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["secret"]


@pytest.mark.parametrize("attempt", ["..", "../../secret", "/etc"])
def test_a_marker_by_hand_that_points_outside_is_no_marker(
    store: Store, tmp_path: Path, attempt: str
) -> None:
    told = {"format": 1, "attempt": attempt, "files": {"done.json": [4, "0" * 64]}}
    store.put("draws/k/done.json", json.dumps(told).encode())
    assert store.marker("draws", "k") is None
    assert "does not parse" in store.notes[0]
    assert (tmp_path / "secret" / "done.json").read_text() == "kept"


def test_names_of_sweeps_and_keys_are_let_through(store: Store) -> None:
    for path in ("sweeps/fig04_mnist.small-2/records/0001-ab.json", "madray.json", "draws/0a1b/λ"):
        store.put(path, b"1")
        assert store.get(path) == b"1"


def test_an_unknown_scheme_is_one_line_that_says_what_to_try() -> None:
    with pytest.raises(BadInput, match=r"got nosuch://bucket/x .*; try s3://bucket/folder") as found:
        Store.open("nosuch://bucket/x")
    assert "\n" not in str(found.value)
