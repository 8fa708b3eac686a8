"""Shards: each chain is some shard's and no other's, and together they make what one driver makes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from commands import PLUGINS, madray, start
from hypothesis import given
from hypothesis import strategies as st

from madray.batches import batches
from madray.engine.local import execute_here
from madray.engine.prepare import Prepared, prepare
from madray.engine.shards import Shard
from madray.engine.sweep import run
from madray.errors import BadInput
from madray.ledger import ChainRecord, Row, SweepRecord
from madray.running import Nothing
from madray.spec.reading import parse_sweep, read_sweep
from madray.store import Store
from madray.table import table, to_csv


def beginning_with(roots: list[int]) -> SweepRecord:
    """A sweep of chains that begin with these generations."""
    chains = [ChainRecord(str(place), {}, 0, [str(root)], [], {}) for place, root in enumerate(roots)]
    return SweepRecord("parts", 0.0, "", {}, [], {}, chains)


@given(roots=st.lists(st.integers(0, 5), max_size=30), count=st.integers(1, 8))
def test_every_chain_is_of_one_shard(roots: list[int], count: int) -> None:
    shares = [Shard(place, count).places(beginning_with(roots)) for place in range(1, count + 1)]
    assert sorted(place for share in shares for place in share) == list(range(len(roots)))
    if len(set(roots)) < count:
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    else:
        for root in set(roots):
            assert sum(any(roots[place] == root for place in share) for share in shares) == 1


def cells(bias: int, n_r: int, *, row: Literal["generation", "calculation"], roots: int = 0) -> SweepRecord:
    """So many values of λ and n_r: a batch is what has one λ. Cells begin alike in `roots` ways, or in none."""
    points = [{"lambda": i / 10, "n_r": j} for i in range(bias) for j in range(n_r)]
    chains = [
        ChainRecord(f"{place}", point, 0, [str(place % roots if roots else place)], ["row"], point)
        for place, point in enumerate(points)
    ]
    return SweepRecord("phase", 0.0, "", {}, [], {}, chains, row=row)


@given(bias=st.integers(1, 6), n_r=st.integers(1, 5), count=st.integers(1, 8), roots=st.integers(0, 4))
def test_batches_are_cut_only_where_there_are_fewer_than_shards(
    bias: int, n_r: int, count: int, roots: int
) -> None:
    record = cells(bias, n_r, row="calculation", roots=roots)
    shares = [Shard(place, count).places(record) for place in range(1, count + 1)]
    assert sorted(place for share in shares for place in share) == list(range(bias * n_r))
    owners = [
        {i for i, share in enumerate(shares) if share & set(batch)} for batch in batches(record).values()
    ]
    assert len(owners) == bias
    if bias >= count:
        assert [len(each) for each in owners] == [1] * bias
        assert all(shares) or roots  # cells that begin alike may be worth more than even shares
    else:
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_batches_of_very_many_chains_stay_whole_and_those_of_few_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = cells(2, 3, row="generation")
    dealt_alone = [Shard(place, 2).places(record) for place in (1, 2)]
    assert dealt_alone == [{0, 2, 4}, {1, 3, 5}]
    monkeypatch.setattr("madray.batches.MANY_CHAINS", 5)
    assert [Shard(place, 2).places(record) for place in (1, 2)] == [{0, 1, 2}, {3, 4, 5}]


@pytest.mark.parametrize("told", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_what_is_no_shard_is_refused(told: str) -> None:
    with pytest.raises(BadInput, match=r"--shard: expected i/n with i from 1 to n, got .*; try 1/2 and 2/2"):
        Shard.parse(told)


SWEEP = """
name: parts
chain:
  reference: {kind: gaussian, d: 2}
  generator: {kind: flow, layers: 2, width: 8, epochs: 1}
  loop: fresh_data
  n_ini: 60
  n_r: 30
  n_s: 30
  n_eval: 20
  generations: 3
grid:
  lambda: [1.0, 0.5, 0.7]
"""


def prepared(store: Store, *, seeds: int, shard: Shard | None = None, keep: str = "all") -> Prepared:
    file = parse_sweep(f"{SWEEP}\nseeds: {seeds}\nkeep: {keep}\n", name="parts")
    return prepare(file, store=store, data=None, shard=shard)


def make(store: Store, *, seeds: int, shard: Shard | None = None, keep: str = "all") -> dict[str, str]:
    outcome = run(
        prepared(store, seeds=seeds, shard=shard, keep=keep), executor=execute_here, display=Nothing()
    )
    assert not outcome.failures
    return dict(outcome.states)


def numbers(store: Store) -> dict[object, object]:
    from madray.ledger import Ledger

    return {place: dict(row.numbers) for place, row in Ledger(store, "parts").rows().items()}


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("keep", ["all", "last"])
def test_shards_one_after_the_other_make_what_one_driver_makes(tmp_path: Path, seeds: int, keep: str) -> None:
    whole, parts = Store.open(tmp_path / "whole"), Store.open(tmp_path / "parts")
    states = make(whole, seeds=seeds, keep=keep)
    told: Counter[str] = Counter()
    for place in (1, 2):
        told.update(make(parts, seeds=seeds, shard=Shard(place, 2), keep=keep).keys())
    assert told == Counter(states.keys())
    assert numbers(parts) == numbers(whole)
    assert prepared(parts, seeds=seeds, keep=keep).plan.complete


def test_a_shared_beginning_outlasts_the_shard_that_made_it(tmp_path: Path) -> None:
    """Another one may be reading it: only chains that are all its own let go of samples."""
    store = Store.open(tmp_path)
    make(store, seeds=1, shard=Shard(1, 2), keep="last")
    record = prepared(store, seeds=1, keep="last").record
    marker = store.marker("generations", record.chains[0].generations[0])
    assert marker is not None
    assert len(marker.files) > 1


class Shown:
    """What MLflow is shown."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def follow(self, rows: Sequence[Row]) -> None:
        self.rows += rows


def test_a_driver_shows_rows_of_its_own_chains_alone(tmp_path: Path) -> None:
    """Also where chains share a beginning, which one driver makes, and where the ledger knows all rows."""
    store = Store.open(tmp_path)
    for _ in range(2):
        for place in (1, 2):
            part, seen = prepared(store, seeds=1, shard=Shard(place, 2)), Shown()
            run(part, executor=execute_here, display=Nothing(), follower=seen)
            own = {part.record.chains[each].id for each in part.mine}
            assert {(row.chain, row.t) for row in seen.rows} == {(id_, t) for id_ in own for t in (1, 2, 3)}


def test_more_shards_than_chains_leave_some_with_nothing_to_do(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    shards = [Shard(place, 5) for place in range(1, 6)]
    counts = [len(prepared(store, seeds=1, shard=shard).mine) for shard in shards]
    assert sorted(counts) == [0, 0, 1, 1, 1]
    empty = shards[counts.index(0)]
    assert prepared(store, seeds=1, shard=empty).plan.complete
    assert make(store, seeds=1, shard=empty) == {}


REAL = SWEEP.replace("flow, layers: 2, width: 8, epochs: 1", '"patient_generator:Patient", steps: 10')


@pytest.mark.timeout(600)
def test_two_drivers_at_once_on_one_store_make_all_of_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "parts.yaml"
    file.write_text(REAL + "seeds: 2\nresources: {concurrent: 1}\n")
    drivers = [start("sweep", file, "--shard", f"{place}/2", cwd=tmp_path) for place in (1, 2)]
    assert [driver.wait(timeout=300) for driver in drivers] == [0, 0], (tmp_path / "output.txt").read_text()
    again = madray("sweep", file, cwd=tmp_path)
    assert "0 fits remain" in again.stdout, again.stdout
    assert again.returncode == 0

    made = madray("table", "parts", cwd=tmp_path).stdout
    monkeypatch.syspath_prepend(str(PLUGINS))
    whole = prepare(read_sweep(file, ()), store=Store.open(tmp_path / "one"), data=None)
    assert (
        made
        == to_csv(table(whole.record, run(whole, executor=execute_here, display=Nothing()).rows)).decode()
    )
    # Seeds share nothing, so no generation was made twice: each has one attempt.
    attempts = [
        len([each for each in folder.iterdir() if each.is_dir()])
        for folder in (tmp_path / "madray-store" / "generations").iterdir()
    ]
    assert attempts == [1] * 2 * (1 + 3 * 2)
    # What all chains are compared with is measured by each driver that comes to it before it is there.
    garbage = json.loads(madray("gc", "--older-than", "0", "--json", cwd=tmp_path).stdout)["files"]
    assert {file["path"].split("/")[0] for file in garbage} <= {"features", "measurements"}
    with sqlite3.connect(tmp_path / "madray-store" / "mlflow.db") as database:
        runs = database.execute("SELECT status FROM runs WHERE lifecycle_stage = 'active'").fetchall()
        points = database.execute("SELECT key, step, run_uuid FROM metrics").fetchall()
    assert runs == [("FINISHED",)] * (1 + 6)
    header, *lines = made.splitlines()
    measured = len(header.split(",")) - len(["lambda", "seed", "generation"])
    assert len(points) == len(set(points)) == measured * len(lines)
