"""Calculations carried out: the numbers of `madray.theory`, under the names that settings promise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from madray import theory
from madray.bundles import Batch
from madray.calculations import KIND, Calculation
from madray.engine.calculate import calculate, make_calculation, read_calculation
from madray.spec.theory import AnyTheory, Boundary, Limit, Simulate
from madray.store import Store

SIMULATE = Simulate(d=3, n_r=20, n_s=30, n_ini=10, generations=4, replicates=40)
SPLIT = Simulate(
    d=3, n_r=0, n_s=30, real="none", memory=2, split="equal", n_ini=10, generations=3, replicates=9
)
LIMIT = Limit.model_validate({"d": 3, "n_r": 20, "n_s": 30, "lambda": 0.8, "rtol": 0.05})
ALONE = Simulate(d=3, n_r=20, n_s=30, n_ini=10, generations=2, replicates=1)  # standard errors are NaN
BOUNDARY = Boundary.model_validate({"d": 3, "n_r": 20, "lambda": 0.5, "rtol": 0.2})
ENDLESS = Boundary.model_validate({"d": 10, "n_r": 2, "lambda": 0.5})
ALL = [SIMULATE, SPLIT, ALONE, LIMIT, BOUNDARY, ENDLESS]


@pytest.mark.parametrize("settings", ALL)
def test_numbers_have_the_names_and_rows_that_the_settings_promise(settings: AnyTheory) -> None:
    columns = calculate(settings, 0)
    assert tuple(columns) == settings.names
    assert {len(column) for column in columns.values()} == {settings.rows}
    assert all(type(value) is float for column in columns.values() for value in column)


def test_a_simulation_is_that_of_the_theory() -> None:
    made = theory.simulate(
        3, 0, 30, 1.0, real="none", n_ini=10, memory=2, split="equal", generations=3, replicates=9, seed=5
    )
    columns = calculate(SPLIT, 5)
    for name in ("w2_squared", "w2", "trace", "mean_squared_norm"):
        estimate = getattr(made, name)
        np.testing.assert_array_equal(columns[name], estimate.mean)
        np.testing.assert_array_equal(columns[f"{name}_standard_error"], estimate.standard_error)


def test_a_limit_comes_with_what_it_is_worth() -> None:
    columns = {name: column[0] for name, column in calculate(LIMIT, 2).items()}
    found = theory.limit(3, 20, 30, 0.8, rtol=0.05, seed=2)
    n_e = theory.effective_sample_size(found, 3)
    assert (columns["w2_squared"], columns["w2_squared_standard_error"]) == (found.mean, found.standard_error)
    assert (columns["n_e"], columns["n_e_standard_error"]) == (n_e.mean, n_e.standard_error)
    assert columns["n_e_over_n_r"] == n_e.mean / 20
    assert columns["n_e_over_n_r_standard_error"] == n_e.standard_error / 20


def test_a_boundary_that_is_never_reached_is_infinite() -> None:
    columns = calculate(ENDLESS, 0)
    assert (columns["n_s_star"], columns["n_s_star_high"]) == ([math.inf], [math.inf])
    found = theory.boundary(3, 20, 0.5, rtol=0.2, seed=0)
    told = calculate(BOUNDARY, 0)
    assert [told[name][0] for name in ("n_s_star", "n_s_star_low", "n_s_star_high")] == [
        found.n_s,
        found.low,
        found.high,
    ]


@pytest.mark.parametrize("settings", ALL)
def test_numbers_come_back_from_the_store_exactly(settings: AnyTheory, tmp_path: Any) -> None:
    store, one = Store.open(tmp_path), Calculation(settings, 3)
    made = make_calculation(store, one)
    assert repr(read_calculation(Store.open(tmp_path), one.key)) == repr(made)
    record = json.loads(store.read(KIND, one.key, "record.json")["record.json"])
    assert (record["key"], record["theory"], record["seed"]) == (one.key, settings.canonical(), 3)
    assert {"madray", "numpy", "scipy", "torch"} <= record["versions"].keys()


def test_what_the_store_holds_is_read_and_not_made(tmp_path: Any) -> None:
    class Counting(Store):
        commits = 0

        def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
            Counting.commits += 1
            super().commit(kind, key, files)

    opened = Store.open(tmp_path)
    store = Counting(opened._fs, opened._root, opened.uri)
    batch = Batch(store)
    first = make_calculation(batch, Calculation(LIMIT, 0))
    batch.flush()
    assert make_calculation(batch, Calculation(LIMIT, 0)) == first
    assert make_calculation(store, Calculation(LIMIT, 0)) == first
    assert Counting.commits == 1
