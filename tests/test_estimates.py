"""What is missing takes as long as its like took: medians of the nearest sizes, by closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from madray.artifacts import Marker
from madray.estimates import Estimate, estimate, known_rows
from madray.forest import Source
from madray.growth import grow
from madray.ledger import Effort, Ledger, Row
from madray.plan import plan
from madray.spec.reading import check_sweep
from madray.store import Store

ROW = Row("c", 1, "r", "g", {}, "", "gaussian", 100, 1.0, 1000.0)


def missing(generators: list[str], *, made: bool = False) -> list[Effort]:
    """Of each generator one fit on 100 samples and three on 40; those of one generator are alike."""
    raw = {
        "name": "s",
        "chain": {
            "reference": "gaussian",
            "loop": "fully_synthetic",
            "n_ini": 100,
            "n_s": 40,
            "generations": 4,
        },
        "grid": {"generator": generators},
    }
    file = check_sweep(raw, name="test")
    forest = grow(file.sweep, file.cells, lambda chain: Source(chain.reference, None))
    markers = {pair: Marker("a", {"record.json": (1, ""), "w": (1, "")}) for pair in forest.artifacts()}
    todo = plan(forest, markers if made else {})
    kinds = {one.effort.like: one.generation.settings.kind for one in forest.made.values()}
    return [effort._replace(like=kinds[effort.like]) for effort in todo.efforts(range(len(forest.chains)))]


def test_nothing_known_tells_nothing() -> None:
    told = estimate(missing(["gaussian"]), [])
    assert (told.known, told.missing) == (0, 4)
    assert math.isnan(told.seconds) and math.isnan(told.size_bytes)


def test_a_fit_is_taken_to_be_as_long_as_the_median_of_its_like() -> None:
    rows = [
        replace(ROW, generation=f"g{index}", seconds=seconds, size_bytes=10 * seconds)
        for index, seconds in enumerate([1.0, 2.0, 90.0])
    ]
    assert estimate(missing(["gaussian"]), rows) == Estimate(4, 4, 4 * 2.0, 4 * 20.0)


def test_the_nearest_size_of_training_set_counts() -> None:
    rows = [
        replace(ROW, generation="g1", n=90, seconds=7.0, size_bytes=1.0),
        replace(ROW, generation="g2", n=50, seconds=0.5, size_bytes=2.0),
        replace(ROW, generation="g3", n=1000, seconds=500.0, size_bytes=3.0),
    ]
    assert estimate(missing(["gaussian"]), rows) == Estimate(4, 4, 7.0 + 3 * 0.5, 1.0 + 3 * 2.0)


def test_unknown_kinds_are_taken_to_be_like_the_average_known_fit() -> None:
    told = estimate(missing(["gaussian", "gmm"]), [ROW])
    assert told == Estimate(4, 8, 8 * 1.0, 8 * 1000.0)


def test_a_generation_of_many_chains_counts_once() -> None:
    shared = [replace(ROW, chain=f"c{index}", seconds=9.0) for index in range(10)]
    rows = [*shared, replace(ROW, generation="g2"), replace(ROW, generation="g3")]
    assert estimate(missing(["gaussian"]), rows).seconds == 4 * 1.0


def test_where_nothing_is_missing_there_is_nothing_to_tell() -> None:
    assert estimate(missing(["gaussian"], made=True), [ROW]).missing == 0


def test_known_are_the_rows_of_all_sweeps_that_say_what_they_took(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    assert known_rows(store) == []
    Ledger(store, "one").append([ROW, replace(ROW, t=2, seconds=math.nan)])
    Ledger(store, "two").append([replace(ROW, chain="other")])
    assert sorted((row.chain, row.t) for row in known_rows(store)) == [("c", 1), ("other", 1)]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_sizes_equally_near_the_smaller_counts_whatever_came_first(order: int) -> None:
    rows = [
        replace(ROW, generation="g1", n=90, seconds=1.0),
        replace(ROW, generation="g2", n=110, seconds=5.0),
    ]
    rows += [replace(ROW, generation="g3", n=40, seconds=0.0)]
    assert estimate(missing(["gaussian"]), rows[::order]).seconds == 1.0
