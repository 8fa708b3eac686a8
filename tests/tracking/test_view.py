"""What stands for what in MLflow: chains as they are, calculations in batches along the last field of the grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import mlflow
import pytest

from madray.batches import MANY_CHAINS
from madray.ledger import ChainRecord, Row, SweepRecord
from madray.tracking import Tracker
from madray.tracking.view import view_of


def sweep(
    *, n_r: Sequence[Any] = (10, 100), seeds: int = 1, biases: Sequence[float] = (1.0, 0.9)
) -> SweepRecord:
    """A phase boundary by λ and n_r, as the ledger records it."""
    chains = [
        ChainRecord(
            id=f"{bias}/{n}/{seed}",
            point={"lambda": bias, "n_r": n},
            seed=seed,
            generations=[f"key-{bias}-{n}-{seed}"],
            rows=[f"key-{bias}-{n}-{seed}"],
            parameters={
                "kind": "boundary",
                "lambda": f"{bias}",
                "n_r": f"{n}",
                "d": "100",
                "seed": f"{seed}",
            },
        )
        for bias in biases
        for n in n_r
        for seed in range(seeds)
    ]
    return SweepRecord("phase", 1.7e9, "", {}, ["n_s_star"], {}, chains, row="calculation")


def rows_of(record: SweepRecord, number: float = 5.0) -> list[Row]:
    return [
        Row(chain.id, 1, chain.rows[0], chain.generations[0], {"n_s_star": number}, "", "", 1, 1.0, 0.0)
        for chain in record.chains
    ]


# The view


def test_a_batch_is_the_cells_of_one_seed_that_agree_in_all_but_the_last_field() -> None:
    record = sweep(n_r=(10, 50, 100), seeds=2)
    batches = view_of(record).record.chains
    assert [(dict(each.point), each.seed) for each in batches] == [
        ({"lambda": 1.0}, 0),
        ({"lambda": 1.0}, 1),
        ({"lambda": 0.9}, 0),
        ({"lambda": 0.9}, 1),
    ]
    assert batches[1].rows == ["key-1.0-10-1", "key-1.0-50-1", "key-1.0-100-1"]
    assert batches[0].parameters == {"kind": "boundary", "lambda": "1.0", "d": "100", "seed": "0"}
    assert len({each.id for each in batches}) == 4


def test_a_row_is_a_step_and_the_fields_value_stands_beside_its_numbers() -> None:
    record = sweep(n_r=(10, 100))
    view = view_of(record)
    told = view.rows(reversed(rows_of(record)))
    batch = view.record.chains[1]
    assert [(row.t, row.numbers) for row in told if row.chain == batch.id] == [
        (2, {"n_r": 100.0, "n_s_star": 5.0}),
        (1, {"n_r": 10.0, "n_s_star": 5.0}),
    ]
    assert all(row.key == batch.rows[row.t - 1] for row in told if row.chain == batch.id)


@pytest.mark.parametrize("value", ["fresh", True, None, {"a": 1}])
def test_a_value_that_is_no_number_is_not_logged(value: Any) -> None:
    record = sweep(n_r=(value, 100))
    told = view_of(record).rows(rows_of(record))
    assert [set(row.numbers) for row in told[:2]] == [{"n_s_star"}, {"n_s_star", "n_r"}]


def test_what_mlflow_cannot_draw_is_a_gap() -> None:
    record = sweep()
    [first, *_] = view_of(record).rows(rows_of(record, math.inf))
    assert math.isnan(first.numbers["n_s_star"])


def test_a_sweep_without_a_grid_is_one_batch_of_one_step() -> None:
    cell = ChainRecord("c", {}, 0, ["k"], ["k"], {"kind": "limit"})
    view = view_of(SweepRecord("one", 0.0, "", {}, ["n_e"], {}, [cell], row="calculation"))
    [batch] = view.record.chains
    assert (batch.point, batch.rows) == ({}, ["k"])
    [row] = view.rows([Row("c", 1, "k", "k", {"n_e": 2.0}, "", "", 1, 1.0, 0.0)])
    assert (row.chain, row.t, row.numbers) == (batch.id, 1, {"n_e": 2.0})


def test_a_batch_ends_as_the_worst_of_its_cells() -> None:
    view = view_of(sweep(n_r=(10, 50)))
    first, second = (each.id for each in view.record.chains)
    assert view.states({}) == {}  # another driver's, for all that is known here
    told = {"1.0/10/0": "finished", "1.0/50/0": "failed", "0.9/10/0": "finished", "0.9/50/0": "finished"}
    assert view.states(told) == {first: "failed", second: "finished"}
    assert view.states({**told, "1.0/50/0": "stopped"})[first] == "stopped"


def test_a_batch_keeps_its_name_when_the_grid_grows() -> None:
    before = {each.id for each in view_of(sweep()).record.chains}
    grown = {each.id for each in view_of(sweep(n_r=(10, 50, 100, 200), biases=(1.0, 0.9, 0.8))).record.chains}
    assert before < grown


def test_of_very_many_chains_a_run_shows_the_last_generations_of_a_batch() -> None:
    sizes = range(MANY_CHAINS // 2 + 1)
    chains = [
        ChainRecord(
            f"{bias}/{n}", {"lambda": bias, "n_s": n}, 0, [f"g1/{bias}", f"g2/{bias}/{n}"],
            [f"r1/{bias}/{n}", f"r2/{bias}/{n}"], {"lambda": str(bias), "n_s": str(n), "seed": "0"},
        )
        for bias in (1.0, 0.5)
        for n in sizes
    ]  # fmt: skip
    view = view_of(SweepRecord("s", 0.0, "", {}, ["w2"], {}, chains))
    first, second = view.record.chains
    assert [dict(each.point) for each in (first, second)] == [{"lambda": 1.0}, {"lambda": 0.5}]
    assert list(second.rows) == [f"r2/0.5/{n}" for n in sizes]
    rows = [Row("0.5/7", t, f"r{t}/0.5/7", f"g{t}", {"w2": float(t)}, "p", "", 1, 1.0, 0.0) for t in (1, 2)]
    [shown] = view.rows(rows)
    assert (shown.chain, shown.t, dict(shown.numbers)) == (second.id, 8, {"n_s": 7.0, "w2": 2.0})
    few = view_of(SweepRecord("s", 0.0, "", {}, ["w2"], {}, chains[:MANY_CHAINS]))
    assert few.record.chains == chains[:MANY_CHAINS]


def test_generations_are_shown_as_they_are() -> None:
    chain = ChainRecord("c", {"lambda": 1.0}, 0, ["g1", "g2"], ["r1", "r2"], {})
    record = SweepRecord("s", 0.0, "", {}, ["w2"], {}, [chain])
    view = view_of(record)
    rows = [Row("c", t, f"r{t}", f"g{t}", {"w2": math.inf}, "", "", 1, 1.0, 0.0) for t in (1, 2)]
    assert (view.record, view.rows(rows), view.states({"c": "failed"})) == (record, rows, {"c": "failed"})


# In MLflow


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


def track(uri: str, record: SweepRecord, rows: Sequence[Row]) -> None:
    tracker = Tracker(uri, record, lambda key: None)
    tracker.start()
    tracker.follow(rows)
    assert tracker.finish({chain.id: "finished" for chain in record.chains}, {}, 60) == []


def curves(uri: str, name: str) -> list[tuple[str, str, list[tuple[int, float]]]]:
    """Name, status and n_r by step of each run but the sweep's."""
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.madray.chain != ''")
    return sorted(
        (
            str(run.info.run_name),
            run.info.status,
            sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, "n_r")),
        )
        for run in runs
    )


def renamed(record: SweepRecord, name: str) -> SweepRecord:
    return SweepRecord(**{**record.__dict__, "name": name})


def test_points_are_written_once_though_rows_come_in_any_order_and_again(database: str) -> None:
    record = renamed(sweep(n_r=(10, 50, 100)), "once")
    rows = rows_of(record)
    tracker = Tracker(database, record, lambda key: None)  # stopped in the middle
    tracker.start()
    tracker.follow([rows[4], rows[2], rows[0]])
    assert tracker.finish({chain.id: "stopped" for chain in record.chains}, {}, 60) == []
    assert [status for _, status, _ in curves(database, "once")] == ["KILLED", "KILLED"]
    for _ in range(2):
        track(database, record, rows)
        whole = [(1, 10.0), (2, 50.0), (3, 100.0)]
        assert curves(database, "once") == [
            ("lambda=0.9, seed=0", "FINISHED", whole),
            ("lambda=1, seed=0", "FINISHED", whole),
        ]


def test_a_grid_that_grows_at_its_end_continues_its_runs(database: str) -> None:
    for values in ((10, 50), (10, 50, 100)):
        record = renamed(sweep(n_r=values, biases=(1.0,)), "grows")
        track(database, record, rows_of(record))
    assert curves(database, "grows") == [("lambda=1, seed=0", "FINISHED", [(1, 10.0), (2, 50.0), (3, 100.0)])]


def test_a_value_between_two_others_begins_a_new_run(database: str) -> None:
    before = renamed(sweep(n_r=(10, 100), biases=(1.0,)), "between")
    tracker = Tracker(database, before, lambda key: None)
    tracker.start()
    tracker.follow(rows_of(before)[1:])  # the second alone, as after a kill
    assert tracker.finish({}, {}, 60) == []
    after = renamed(sweep(n_r=(10, 50, 100), biases=(1.0,)), "between")
    track(database, after, rows_of(after))
    assert curves(database, "between") == [
        ("lambda=1, seed=0", "FINISHED", [(1, 10.0), (2, 50.0), (3, 100.0)]),
        ("lambda=1, seed=0", "KILLED", [(2, 100.0)]),
    ]
