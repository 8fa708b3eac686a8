"""`find_garbage` names what no sweep refers to, all of it and nothing else; `collect` takes it away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_sweeps import all_files, make, table_of

from madray.bundles import BUNDLES
from madray.engine.local import execute_here
from madray.engine.needs import needs_of
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.errors import BadInput
from madray.forest import RECORD
from madray.garbage import collect, find_garbage
from madray.ledger import Ledger
from madray.running import Nothing
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
    assert needs_of(store, "t").keys() == dict.fromkeys(prepared.targets.artifacts()).keys()
    assert told(store) == set()


def test_a_sweep_that_cannot_be_read_stops_it_before_anything_is_deleted(store: Store) -> None:
    make(store, "kept")
    [record] = store.names("sweeps/kept/records")
    ledger = Ledger(store, "kept")
    told_now = ledger.record()
    ledger.write_record(
        type(told_now)(**{**vars(told_now), "text": "name: kept\nchain: {generator: gone:Gone}"})
    )
    assert store.names("sweeps/kept/records")[0] == record
    with pytest.raises(BadInput, match="the record of kept: "):
        find_garbage(store, older_than_hours=0)
