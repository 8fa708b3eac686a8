"""`find_garbage` names what no sweep refers to, all of it and nothing else; `collect` takes it away."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import all_files, make, table_of

from madray.bundles import BUNDLES
from madray.engine.local import execute_here
from madray.engine.needs import UNNAMED, needs_of
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.forest import RECORD
from madray.garbage import collect, find_garbage
from madray.ledger import Ledger
from madray.running import Nothing
from madray.spec.generators import Flow
from madray.spec.metrics import Metric
from madray.spec.reading import check_sweep
from madray.store import Store


def told(store: Store, hours: float = 0.0) -> set[str]:
    return {file.path for file in find_garbage(store, older_than_hours=hours).files}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.mark.parametrize("changes", [{}, {"keep": "last"}, {"chain": {"generator": "gaussian"}}])
def test_nothing_of_a_finished_sweep_is_garbage(store: Store, changes: dict[str, Any]) -> None:
    make(store, "kept", **changes)
    assert told(store) == set()


def test_all_that_a_removed_sweep_alone_needed_is_garbage_and_goes(store: Store) -> None:
    make(store, "kept")
    before = all_files(store)
    make(store, "other", chain={"n_s": 31})
    new = {path for path in all_files(store) - before if not path.startswith("sweeps/")}
    assert new
    assert told(store) == set()
    store.remove_folder("sweeps/other")
    assert told(store) == new
    collect(store, find_garbage(store, older_than_hours=0))
    assert all_files(store) == before
    make(store, "kept")  # all is there: nothing would be written
    assert all_files(store) == before


def test_what_is_young_stays(store: Store) -> None:
    make(store, "gone")
    store.remove_folder("sweeps/gone")
    assert told(store, hours=24) == set()
    assert told(store) == all_files(store)


def test_what_keep_lets_go_is_garbage_once_the_sweep_is_finished(store: Store) -> None:
    make(store, "all")
    make(store, "last", keep="last")  # finds everything there, and lets go of nothing
    assert told(store) == set()
    store.remove_folder("sweeps/all")
    collect(store, find_garbage(store, older_than_hours=0))
    assert told(store) == set()
    alone = Store.open(Path(store.uri).with_name("alone"))
    make(alone, "last", keep="last")
    assert {path.split("/")[1] for path in all_files(alone)} == {
        path.split("/")[1] for path in all_files(store)
    }
    chains = Ledger(store, "last").record().chains
    for chain in chains:
        *earlier, last = (set(store.marker("generations", key).files) for key in chain.generations)  # type: ignore[union-attr]
        assert all(files == {RECORD} for files in earlier)
        assert last > {RECORD}
    before = table_of(store, "last")
    make(store, "last", keep="last")
    assert table_of(store, "last") == before


def test_all_that_an_unfinished_sweep_consists_of_stays(store: Store) -> None:
    make(store, "whole", keep="last")
    ledger = Ledger(store, "whole")
    key = ledger.record().chains[0].generations[1]
    store.commit("work", key, {"step.json": b"{}"})
    assert any(path.startswith("work/") for path in told(store))
    store.remove_folder("sweeps/whole/rows")
    assert told(store) == set()


def test_attempts_of_killed_writers_and_damaged_records_are_garbage(store: Store) -> None:
    make(store, "kept")
    key = Ledger(store, "kept").record().chains[0].generations[0]
    [rows] = store.names("sweeps/kept/rows")
    torn = store.get(f"sweeps/kept/rows/{rows}")[:-1]
    damaged = f"sweeps/kept/rows/{int(rows[:20]) + 1:020d}{rows[20:]}"
    store.put(damaged, torn)
    store.put(f"generations/{key}/0123456789abcdef/{RECORD}", b"half")
    store.put(f"draws/{key}/0123456789abcdef/samples.parquet", b"half")
    (Path(store.uri) / "draws" / key / ".done.json.0123").write_bytes(b"")
    expected = {
        damaged,
        f"generations/{key}/0123456789abcdef/{RECORD}",
        f"draws/{key}/0123456789abcdef/samples.parquet",
        f"draws/{key}/.done.json.0123",
    }
    assert told(store) == expected
    before = all_files(store) - expected
    collect(store, find_garbage(store, older_than_hours=0))
    assert all_files(store) == before


def test_a_bundle_stays_whole_while_any_sweep_needs_some_of_it(store: Store) -> None:
    make(store, "long", chain={"generator": "gaussian", "generations": 4})
    bundles = {path for path in all_files(store) if path.startswith(f"{BUNDLES}/")}
    assert bundles
    make(store, "short", chain={"generator": "gaussian", "generations": 2})
    store.remove_folder("sweeps/long")
    assert told(store).isdisjoint(bundles)
    store.remove_folder("sweeps/short")
    assert told(store) >= bundles


def test_theory_is_kept_too(store: Store) -> None:
    theory = {"kind": "simulate", "d": 2, "n_ini": 9, "n_r": 9, "n_s": 9, "generations": 3, "replicates": 2}
    prepared = prepare(check_sweep({"name": "t", "theory": theory}, name="t"), store=store, data=None)
    run(prepared, executor=execute_here, display=Nothing())
    assert needs_of(store, "t").files.keys() == dict.fromkeys(prepared.targets.artifacts()).keys()
    assert told(store) == set()


def rewritten(store: Store, name: str, text: str) -> None:
    """Let a record say another file, as if what the file names had changed since."""
    ledger = Ledger(store, name)
    ledger.write_record(replace(ledger.record(), text=text))


UNREADABLE = "name: kept\nchain: {generator: gone:Gone}"


@pytest.mark.parametrize("changes", [{}, {"keep": "last"}, {"chain": {"generator": "gaussian"}}])
def test_a_sweep_whose_file_cannot_be_read_any_more_loses_nothing(
    store: Store, changes: dict[str, Any]
) -> None:
    make(store, "kept", **changes)
    rewritten(store, "kept", UNREADABLE)
    store.notes.clear()
    assert told(store) == set()
    note, what_follows = store.notes
    assert what_follows.startswith("so long, nothing goes of anybody's bundles, draws, ")
    assert note.startswith("kept: its file cannot be read any more (")
    assert note.endswith("; what its record and its rows name is kept")


def test_theory_whose_file_cannot_be_read_any_more_is_known_by_its_record(store: Store) -> None:
    theory = {"kind": "simulate", "d": 2, "n_ini": 9, "n_r": 9, "n_s": 9, "generations": 3, "replicates": 2}
    prepared = prepare(check_sweep({"name": "t", "theory": theory}, name="t"), store=store, data=None)
    run(prepared, executor=execute_here, display=Nothing())
    before = needs_of(store, "t")
    rewritten(store, "t", "name: t\ntheory: {kind: gone}")
    assert needs_of(store, "t") == before
    assert told(store) == set()


@pytest.mark.parametrize("part", ["generator", "metric"])
def test_a_finished_sweep_loses_nothing_when_a_version_is_raised(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    make(store, "kept")
    make(store, "gone", chain={"n_s": 31})
    before = needs_of(store, "kept")
    gone = needs_of(store, "gone").files.keys() - before.files.keys()
    monkeypatch.setattr(Flow if part == "generator" else Metric, "version", 99)
    assert told(store) == set()
    *notes, _ = store.notes
    assert [note.partition(";")[0] for note in notes] == [
        f"{name}: its file makes other keys today than its record has" for name in ("gone", "kept")
    ]
    after = needs_of(store, "kept")
    named = (
        before.files.keys()
        if part == "generator"
        else {pair for pair in before.files if pair[0] != "measurements"}
    )
    assert named <= after.files.keys()  # with the samples: their keys follow from those of the generations
    assert not after.is_all
    # Of a sweep that is gone, what no record names and nobody can tell from others' stays as well.
    store.remove_folder("sweeps/gone")
    collect(store, find_garbage(store, older_than_hours=0))
    left = {(kind, key) for kind, key, *_ in (path.split("/") for path in all_files(store))}
    assert {kind for kind, _ in gone & left} <= UNNAMED
    assert {kind for kind, _ in gone - left} == {"generations", "pictures"}
    # What is made anew under the new keys is known in full again.
    make(store, "kept")
    store.notes.clear()
    assert ("generations" in {path.split("/")[0] for path in told(store)}) == (part == "generator")
    assert store.notes == []


def test_what_is_left_of_a_removed_sweep_is_garbage_and_stops_nothing(store: Store) -> None:
    make(store, "kept")
    make(store, "removed")
    store.remove_folder("sweeps/removed/records")
    assert told(store) == {file.path for file in store.files("sweeps/removed")}
    assert told(store, hours=24) == set()
    assert "removed in " in store.notes[0] and "found none" in store.notes[0]
    collect(store, find_garbage(store, older_than_hours=0))
    assert Ledger.names(store) == ["kept"]


def test_a_sweep_whose_only_record_is_damaged_loses_nothing(store: Store) -> None:
    make(store, "kept")
    before = all_files(store)
    [record] = (Path(store.uri) / "sweeps" / "kept" / "records").iterdir()
    record.write_bytes(record.read_bytes()[:-1])
    collect(store, find_garbage(store, older_than_hours=0))
    assert all_files(store) == before
    assert any(
        "found a damaged one; run its file again, or madray remove kept" in note for note in store.notes
    )
    store.remove_folder("sweeps/kept")
    assert told(store) == all_files(store)


# What happens between looking and deleting


def test_what_a_sweep_takes_up_after_it_was_found_stays(store: Store) -> None:
    make(store, "first")
    before = table_of(store, "first")
    store.remove_folder("sweeps/first")
    found = find_garbage(store, older_than_hours=0)
    assert {file.path for file in found.files} == all_files(store)
    make(store, "second")  # of the same settings: all is there, and nothing is written but its ledger
    whole = all_files(store)
    went = collect(store, found)
    assert (went.files, went.whole, went.parts, went.loose) == ([], [], [], [])
    assert all_files(store) == whole
    assert sorted(table_of(store, "second").values(), key=str) == sorted(before.values(), key=str)
    assert told(store) == set()


def test_weights_that_a_sweep_wants_by_now_stay(store: Store) -> None:
    make(store, "all")
    make(store, "last", keep="last")
    store.remove_folder("sweeps/all")
    found = find_garbage(store, older_than_hours=0)
    assert found.parts
    before = all_files(store)
    make(store, "again")
    went = collect(store, found)
    assert (went.files, went.parts) == ([], [])
    assert all_files(store) >= before


def test_what_was_written_to_since_it_was_found_stays(store: Store) -> None:
    make(store, "gone")
    store.remove_folder("sweeps/gone")
    found = find_garbage(store, older_than_hours=0)
    kind, key = next(pair for pair in found.whole if pair[0] == "measurements")
    store.commit(kind, key, store.read(kind, key))  # another writer makes it again
    went = collect(store, found)
    assert store.has(kind, key)
    assert (kind, key) not in went.whole
    assert len(went.whole) == len(found.whole) - 1
    assert {path.split("/")[1] for path in all_files(store)} == {key}
    assert {file.path for file in went.files} == {
        file.path for file in found.files if not file.path.startswith(f"{kind}/{key}/")
    }


def test_an_attempt_that_counts_by_now_stays(store: Store) -> None:
    make(store, "kept")
    key = Ledger(store, "kept").record().chains[0].generations[0]
    files = store.read("generations", key)
    marker = store.own_marker("generations", key)
    store.commit("generations", key, files)  # the first attempt counts no more
    found = find_garbage(store, older_than_hours=0)
    assert found.loose and marker is not None
    assert all(path.startswith(f"generations/{key}/{marker.attempt}/") for path in found.loose)
    told_now = {"format": 1, "attempt": marker.attempt, "files": marker.files}
    store.put(f"generations/{key}/done.json", json.dumps(told_now).encode())
    assert collect(store, found).files == []
    assert store.read("generations", key) == files
