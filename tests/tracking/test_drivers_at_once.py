"""Drivers that write one sweep at the same time: each thing has one run, and each point is there once."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

from madray.engine.shards import Shard
from madray.ledger import ChainRecord, Row, SweepRecord
from madray.tracking.experiment import Experiment
from madray.tracking.runs import Runs
from madray.tracking.tracker import Tracker
from madray.tracking.view import view_of

Kind = Literal["generation", "calculation"]


def sweep(
    name: str, *, row: Kind = "generation", generations: int = 1, created: float = 1.7e9
) -> SweepRecord:
    """Four cells by λ and n_r; where they make batches, these are the two values of λ."""
    chains = [
        ChainRecord(
            id=f"{name}-{bias}-{n}",
            point={"lambda": bias, "n_r": n},
            seed=0,
            generations=[f"g{t}-{name}-{bias}-{n}" for t in range(1, generations + 1)],
            rows=[f"r{t}-{name}-{bias}-{n}" for t in range(1, generations + 1)],
            parameters={"lambda": f"{bias}", "n_r": f"{n}", "seed": "0"},
        )
        for bias in (1.0, 0.9)
        for n in (10, 20)
    ]
    return SweepRecord(name, created, "", {}, ["fid"], {}, chains, row=row)


def rows_of(record: SweepRecord, places: Sequence[int] = range(4)) -> list[Row]:
    """Rows of some of the chains; one number of each generation is NaN."""
    return [
        Row(
            chain.id, t, key, chain.generations[t - 1], {"fid": 1.0 * t, "gap": math.nan}, "", "", 1, 1.0, 0.0
        )
        for chain in (record.chains[place] for place in places)
        for t, key in enumerate(chain.rows, start=1)
    ]


def write(runs: Runs, record: SweepRecord, rows: Sequence[Row]) -> None:
    """Write rows of the ledger as the tracker does: those of one run together."""
    view = view_of(record)
    shown = view.rows(rows)
    for chain in view.record.chains:
        if missing := runs.missing(chain, [row for row in shown if row.chain == chain.id]):
            runs.write(chain, missing, {row.t: None for row in missing})


def close(runs: Runs, record: SweepRecord, places: Sequence[int] = range(4)) -> None:
    """End as the tracker does."""
    view = view_of(record)
    chains = {chain.id: chain for chain in view.record.chains}
    states = view.states({record.chains[place].id: "finished" for place in places})
    runs.look_again()
    for id_, state in states.items():
        runs.close(chains[id_], state)
    runs.close_sweep(states.values(), {"sweep.yaml": b"name: x"})


def track(uri: str, record: SweepRecord) -> None:
    """A whole run of the sweep that finds all rows in the ledger."""
    tracker = Tracker(uri, record, lambda key: None)
    tracker.start()
    tracker.follow(rows_of(record))
    assert (
        tracker.finish({chain.id: "finished" for chain in record.chains}, {"sweep.yaml": b"name: x"}, 60)
        == []
    )


class Database:
    """What active runs there are of a sweep, read without MLflow."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.uri = f"sqlite:///{file}"

    def ask(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as database:
            return database.execute(question, values).fetchall()

    def runs(self, sweep: str) -> list[tuple[str, str]]:
        """Name and status of each active run."""
        return sorted(
            self.ask(
                "select r.name, r.status from runs r join experiments e using (experiment_id) "
                "where e.name = ? and r.lifecycle_stage = 'active'",
                sweep,
            )
        )

    def points(self, sweep: str) -> Counter[tuple[str, str, int]]:
        """How often each point is there: name of the run, name of the number, step."""
        found = self.ask(
            "select r.name, m.key, m.step from metrics m join runs r using (run_uuid) "
            "join experiments e using (experiment_id) where e.name = ? and r.lifecycle_stage = 'active'",
            sweep,
        )
        return Counter((run, key, step) for run, key, step in found)

    def parents(self, sweep: str) -> set[tuple[str, str]]:
        """What the active runs hang on: its name, and whether it is active."""
        return set(
            self.ask(
                "select p.name, p.lifecycle_stage from tags t join runs r using (run_uuid) "
                "join experiments e using (experiment_id) join runs p on p.run_uuid = t.value "
                "where t.key = 'mlflow.parentRunId' and e.name = ? and r.lifecycle_stage = 'active'",
                sweep,
            )
        )

    def tags(self, sweep: str, key: str) -> list[tuple[Any, ...]]:
        return self.ask(
            "select t.value from tags t join runs r using (run_uuid) join experiments e using (experiment_id) "
            "where e.name = ? and r.lifecycle_stage = 'active' and t.key = ?",
            sweep,
            key,
        )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    yield Database(tmp_path_factory.mktemp("mlflow") / "mlflow.db")


CHAINS = [f"lambda={bias}, n_r={n}, seed=0" for bias in ("0.9", "1") for n in (10, 20)]
BATCHES = ["lambda=0.9, seed=0", "lambda=1, seed=0"]


def whole(sweep: str, names: Sequence[str], keys: Sequence[str], steps: int) -> tuple[Any, Any, Any]:
    """What MLflow holds of a finished sweep."""
    points = Counter((name, key, step) for name in names for key in keys for step in range(1, steps + 1))
    runs = sorted((name, "FINISHED") for name in (*names, sweep))
    return runs, points, {(sweep, "active")}


def held(database: Database, sweep: str) -> tuple[Any, Any, Any]:
    return database.runs(sweep), database.points(sweep), database.parents(sweep)


def test_two_drivers_that_hold_the_same_rows_make_one_run_of_each_chain(database: Database) -> None:
    """They know nothing of each other's runs, as when MLflow comes back while both wait for it."""
    records = [sweep("same", generations=3, created=1.7e9 + i) for i in (0, 0.5)]
    drivers = [Runs(database.uri, record) for record in records]
    for runs, record in zip(drivers, records, strict=True):
        write(runs, record, rows_of(record))
    assert [name for name, _ in database.runs("same")] == [*CHAINS, "same"]  # at once, not only in the end
    for runs, record in zip(drivers, records, strict=True):
        close(runs, record)
    assert held(database, "same") == whole("same", CHAINS, ("fid", "gap"), 3)
    assert database.tags("same", "madray.begun") == []


@pytest.mark.parametrize("count", [2, 3])
def test_shards_of_a_boundary_write_each_batch_once(database: Database, count: int) -> None:
    """With two shards a batch is one driver's; with three some batch is cut, and has one run all the same."""
    name = f"boundary{count}"
    record = sweep(name, row="calculation")
    parts = [sorted(Shard(place, count).places(record)) for place in range(1, count + 1)]
    drivers = [Runs(database.uri, view_of(record).record) for _ in parts]
    if count == 2:
        shown = [{row.chain for row in view_of(record).rows(rows_of(record, part))} for part in parts]
        assert not shown[0] & shown[1]
    for runs, part in zip(drivers, parts, strict=True):
        write(runs, record, rows_of(record, part))
    for runs, part in zip(drivers, parts, strict=True):
        close(runs, record, part)
    expected = whole(name, BATCHES, ("fid", "gap", "n_r"), 2)
    assert held(database, name) == expected
    track(database.uri, record)
    assert held(database, name) == expected


def test_shards_of_very_many_chains_write_each_batch_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madray.batches.MANY_CHAINS", 3)
    record = sweep("many", generations=2)
    parts = [sorted(Shard(place, 2).places(record)) for place in (1, 2)]
    drivers = [Runs(database.uri, view_of(record).record) for _ in parts]
    shown = [{row.chain for row in view_of(record).rows(rows_of(record, part))} for part in parts]
    assert not shown[0] & shown[1]
    for runs, part in zip(drivers, parts, strict=True):
        write(runs, record, rows_of(record, part))
        close(runs, record, part)
    assert held(database, "many") == whole("many", BATCHES, ("fid", "gap", "n_r"), 2)


def blind(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Drivers do not see what another began just now: the moment in which MLflow cannot help them."""
    return monkeypatch.setattr(Experiment, "merged", lambda self, alike: next(iter(alike)))


def test_runs_begun_twice_unseen_are_one_when_the_drivers_have_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = sweep("unseen", row="calculation")
    parts = [[0, 2], [1, 3]]  # each has cells of each batch
    drivers = [Runs(database.uri, view_of(record).record) for _ in parts]
    with monkeypatch.context() as patched:
        blind(patched)
        for runs, part in zip(drivers, parts, strict=True):
            write(runs, record, rows_of(record, part))
    assert [name for name, _ in database.runs("unseen")] == sorted([*BATCHES, "unseen"] * 2)
    for runs, part in zip(drivers, parts, strict=True):
        close(runs, record, part)
    assert held(database, "unseen") == whole("unseen", BATCHES, ("fid", "gap", "n_r"), 2)


def test_a_later_run_makes_one_of_what_was_begun_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drivers that were killed leave whatever they wrote: here each chain twice, one of them half."""
    record = sweep("later", generations=3)
    drivers = [Runs(database.uri, record) for _ in range(2)]
    with monkeypatch.context() as patched:
        blind(patched)
        write(drivers[0], record, rows_of(record))
        write(drivers[1], record, [row for row in rows_of(record) if row.t == 2])
    assert len(database.runs("later")) == 2 * 5
    track(database.uri, record)
    expected = whole("later", CHAINS, ("fid", "gap"), 3)
    assert held(database, "later") == expected
    assert database.tags("later", "madray.begun") == []
    before = database.ask("select * from runs"), database.ask("select * from tags")
    track(database.uri, record)
    assert (database.ask("select * from runs"), database.ask("select * from tags")) == before
