"""Bundles: many small artifacts in one file, and each of them as good as one of its own."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from madray.artifacts import Marker
from madray.bundles import FILE, Batch, BundleIndex
from madray.errors import Damaged, Missing
from madray.store import Store

RECORD = {"record.json": b"{}"}
WHOLE = {"record.json": b"{}", "model.safetensors": b"weights"}


def write_bundle(
    store: Store, *keys: str, kind: str = "measurements", files: dict[str, bytes] | None = None
) -> str:
    """One bundle of these artifacts; returns its key."""
    before = set(store.names("bundles"))
    batch = Batch(store)
    for key in keys:
        batch.commit(kind, key, files or {"numbers.json": key.encode()})
    batch.flush()
    [made] = set(store.names("bundles")) - before
    return made


def file_of(folder: Path, bundle: str) -> Path:
    [path] = (folder / "bundles" / bundle).glob(f"*/{FILE}")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path)


def test_a_batch_of_many_artifacts_becomes_one_file(store: Store, tmp_path: Path) -> None:
    batch = Batch(store)
    for index in range(100):
        batch.commit("generations", f"g{index}", {**WHOLE, "n": b"%d" % index})
        batch.commit("draws", f"d{index}", {"samples.parquet": b"%d" % index})
    batch.flush()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == [FILE, "done.json"]
    other = Store.open(tmp_path)
    for index in range(100):
        assert other.read("generations", f"g{index}") == {**WHOLE, "n": b"%d" % index}
        assert other.read("draws", f"d{index}", "samples.parquet") == {"samples.parquet": b"%d" % index}


def test_nothing_of_a_batch_is_in_the_store_before_it_is_flushed(store: Store, tmp_path: Path) -> None:
    batch = Batch(store)
    batch.commit("draws", "d", {"a": b"1"})
    assert not store.has("draws", "d")
    assert not (tmp_path / "bundles").exists()
    batch.flush()
    assert store.has("draws", "d")


def test_flushing_nothing_writes_nothing_and_flushing_twice_writes_once(store: Store) -> None:
    batch = Batch(store)
    batch.flush()
    assert store.names("bundles") == []
    batch.commit("draws", "d", {"a": b"1"})
    batch.flush()
    batch.flush()
    assert len(store.names("bundles")) == 1


def test_a_batch_reads_what_it_holds_first_and_the_store_behind_it_second(store: Store) -> None:
    store.commit("draws", "stored", {"a": b"store"})
    store.commit("draws", "both", {"a": b"store", "only there": b"x"})
    batch = Batch(store)
    batch.commit("draws", "held", {"a": b"held", "b": b"more"})
    batch.commit("draws", "both", {"a": b"held"})
    assert batch.read("draws", "held") == {"a": b"held", "b": b"more"}
    assert batch.read("draws", "held", "b") == {"b": b"more"}
    assert batch.read("draws", "stored") == {"a": b"store"}
    assert batch.read("draws", "both") == {"a": b"held"}
    assert batch.read("draws", "both", "only there") == {"only there": b"x"}
    assert [batch.has("draws", key) for key in ("held", "stored", "both", "none")] == [
        True,
        True,
        True,
        False,
    ]
    assert batch.has("draws", "both", "only there")
    assert not batch.has("draws", "held", "c")
    with pytest.raises(Missing):
        batch.read("draws", "held", "c")


class Asked(Store):
    """Counts how often it is asked for an artifact."""

    asked = 0

    def marker(self, kind: str, key: str) -> Marker | None:
        self.asked += 1
        return super().marker(kind, key)


def test_what_a_batch_did_not_find_is_not_looked_for_again_unless_it_makes_it(tmp_path: Path) -> None:
    Store.open(tmp_path).commit("draws", "stored", {"a": b"1"})
    opened = Store.open(tmp_path)
    store = Asked(opened._fs, opened._root, opened.uri)
    batch = Batch(store)
    batch.commit("draws", "held", {"a": b"1"})
    assert set(batch.markers([("draws", key) for key in ("stored", "held", "none")])) == {("draws", "stored")}
    assert [batch.has("draws", key) for key in ("held", "none", "none")] == [True, False, False]
    assert store.asked == 0
    assert batch.has("draws", "stored")
    batch.commit("draws", "none", {"a": b"2"})
    batch.flush()
    assert batch.has("draws", "none")
    assert batch.has("draws", "held")


def test_a_batch_drops_what_it_holds_and_passes_on_the_rest(store: Store) -> None:
    store.commit("generations", "stored", WHOLE)
    batch = Batch(store)
    batch.commit("generations", "held", WHOLE)
    batch.commit("draws", "d", {"a": b"1"})
    for key in ("held", "stored"):
        batch.drop("generations", key, keep=("record.json",))
        assert batch.read("generations", key) == RECORD
    batch.drop("draws", "d")
    assert not batch.has("draws", "d")
    batch.flush()
    assert store.read("generations", "held") == RECORD
    assert store.read("generations", "stored") == RECORD
    assert not store.has("draws", "d")


def test_an_index_sees_what_others_wrote_since(store: Store, tmp_path: Path) -> None:
    reader = Store.open(tmp_path)
    assert not reader.has("measurements", "a")
    write_bundle(store, "a")
    assert reader.has("measurements", "a")
    assert reader.markers([("measurements", "b")]) == {}
    write_bundle(store, "b")
    assert set(reader.markers([("measurements", "a"), ("measurements", "b")])) == {
        ("measurements", "a"),
        ("measurements", "b"),
    }


def test_a_bundle_without_its_marker_is_nothing_until_the_marker_lands(store: Store, tmp_path: Path) -> None:
    bundle = write_bundle(store, "a")
    marker = tmp_path / "bundles" / bundle / "done.json"
    written = marker.read_bytes()
    marker.unlink()
    reader = Store.open(tmp_path)
    assert not reader.has("measurements", "a")
    marker.write_bytes(written)
    assert reader.read("measurements", "a") == {"numbers.json": b"a"}
    assert reader.notes == []


def test_a_damaged_bundle_is_noted_once_and_what_it_held_is_missing(store: Store, tmp_path: Path) -> None:
    bundle = write_bundle(store, "a", "b")
    write_bundle(store, "c")
    path = file_of(tmp_path, bundle)
    whole = path.read_bytes()
    marker = (tmp_path / "bundles" / bundle / "done.json").read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        (tmp_path / "bundles" / bundle / "done.json").write_bytes(marker)
        reader = Store.open(tmp_path)
        assert not reader.has("measurements", "a")
        assert not reader.has("measurements", "b")
        assert reader.read("measurements", "c") == {"numbers.json": b"c"}
        assert len(reader.notes) == 1
        assert bundle in reader.notes[0]
    batch = Batch(reader)
    for key in ("a", "b"):
        batch.commit("measurements", key, {"numbers.json": key.encode()})
    batch.flush()
    assert reader.read("measurements", "a") == {"numbers.json": b"a"}
    assert Store.open(tmp_path).read("measurements", "b") == {"numbers.json": b"b"}


def test_a_bundle_that_is_damaged_after_it_was_indexed_is_found_when_it_is_read(
    store: Store, tmp_path: Path
) -> None:
    first, second = write_bundle(store, "a", "b"), write_bundle(store, "c")
    index = BundleIndex(store, room_bytes=0)
    assert index.marker("measurements", "a") is not None
    assert index.read("measurements", "c") == {"numbers.json": b"c"}  # leaves no room for the first
    path = file_of(tmp_path, first)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Damaged):
        index.read("measurements", "a")
    assert index.marker("measurements", "a") is None
    assert index.marker("measurements", "b") is None
    assert index.marker("measurements", "c") is not None
    assert second in store.names("bundles")


def test_an_index_reads_right_however_little_room_it_has(store: Store) -> None:
    for part in range(4):
        write_bundle(store, *(f"{part}-{index}" for index in range(3)))
    index = BundleIndex(store, room_bytes=0)
    for _, part, number in itertools.product(range(2), range(4), range(3)):
        key = f"{part}-{number}"
        assert index.marker("measurements", key) is not None
        assert index.read("measurements", key) == {"numbers.json": key.encode()}


def test_of_two_bundles_that_hold_a_generation_the_one_with_weights_counts(
    store: Store, tmp_path: Path
) -> None:
    bundles = []
    for index in range(8):  # in whichever order their names sort
        bundles += [(write_bundle(store, f"g{index}", kind="generations", files=RECORD), "record")]
        bundles += [(write_bundle(store, f"g{index}", kind="generations", files=WHOLE), "whole")]
    assert len({what for _, what in sorted(bundles)[:8]}) == 2
    for reader in (store, Store.open(tmp_path)):
        assert all(reader.read("generations", f"g{index}") == WHOLE for index in range(8))


def test_the_same_artifacts_make_the_same_bundle(store: Store) -> None:
    bundle = write_bundle(store, "a", "b")
    batch = Batch(store)
    for key in ("b", "a"):
        batch.commit("measurements", key, {"numbers.json": key.encode()})
    batch.flush()
    assert store.names("bundles") == [bundle]
    assert store.read("measurements", "a") == {"numbers.json": b"a"}


def test_what_a_bundle_holds_goes_with_the_bundle_alone(store: Store) -> None:
    write_bundle(store, "g", kind="generations", files=WHOLE)
    store.drop("generations", "g", keep=("record.json",))
    assert store.read("generations", "g") == WHOLE


def test_an_artifact_of_its_own_counts_before_a_bundled_one(store: Store) -> None:
    write_bundle(store, "g", kind="generations", files=RECORD)
    store.commit("generations", "g", WHOLE)
    assert store.read("generations", "g") == WHOLE


def test_notes_about_damage_reach_whoever_works_with_the_batch(store: Store, tmp_path: Path) -> None:
    path = file_of(tmp_path, write_bundle(store, "a"))
    path.write_bytes(b"")
    batch = Batch(Store.open(tmp_path))
    assert not batch.has("measurements", "a")
    assert len(batch.notes) == 1
