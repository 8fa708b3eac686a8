"""Sweeps of chains as figures read them: numbers by cell, generation and seed; what cannot be used is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import madray
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.errors import BadInput
from madray.report.chains import Chains
from madray.running import Nothing
from madray.spec.reading import check_sweep
from madray.store import Store

CHAIN: dict[str, Any] = {
    "reference": "digits",
    "generator": {
        "kind": "ddpm",
        "timesteps": 3,
        "steps": 5,
        "warmup": 1,
        "width": 8,
        "depth": 1,
        "chunk": 40,
    },
    "loop": "fully_synthetic",
    "n_ini": 60,
    "n_s": 60,
    "n_eval": 50,
    "generations": 3,
    "metrics": ["fid", "precision_recall", "variance"],
}


def make(place: Path, raw: dict[str, Any], executor: Any = execute_here) -> None:
    prepared = prepare(check_sweep(raw, name="test"), store=Store.open(place), data=None)
    run(prepared, executor=executor, display=Nothing())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chains")
    make(folder, {"name": "two", "chain": CHAIN, "grid": {"lambda": [0.5, 1.0]}, "seeds": 3})
    make(folder, {"name": "one", "chain": {**CHAIN, "lambda": 0.5}})
    make(folder, {"name": "short", "chain": {**CHAIN, "generations": 1}})
    make(folder, {"name": "begun", "chain": {**CHAIN, "n_ini": 61}}, lambda *_: None)
    theory = {"kind": "limit", "d": 2, "n_r": 20, "n_s": 20, "lambda": 0.9, "rtol": 0.1}
    make(folder, {"name": "theory", "theory": theory})
    return folder


def read(place: Path, name: str) -> Chains:
    return Chains.read(madray.open(place)[name])


def test_numbers_are_those_of_the_table_seed_by_seed(place: Path) -> None:
    chains = read(place, "two")
    assert (chains.seeds, chains.last, chains.n_eval) == (3, 3, 50)
    table = madray.open(place)["two"].table()
    rows = table[(table["lambda"] == 0.5) & (table["generation"] == 2)].sort_values("seed")
    found = chains.number("fid", {"lambda": 0.5}, 2)
    assert found.values.tolist() == rows["fid"].tolist()
    change = chains.change("fid", {"lambda": 0.5})
    first, last = (chains.number("fid", {"lambda": 0.5}, t).values for t in (1, 3))
    assert change.values.tolist() == (last - first).tolist()


def test_curves_are_means_over_seeds_with_standard_errors(place: Path) -> None:
    chains = read(place, "two")
    t, curve = chains.curve("recall", {"lambda": 1.0})
    assert t.tolist() == [1, 2, 3]
    seeds = np.stack([chains.number("recall", {"lambda": 1.0}, int(each)).values for each in t])
    assert curve.mean == pytest.approx(seeds.mean(axis=1))
    assert curve.standard_error == pytest.approx(seeds.std(axis=1, ddof=1) / 3**0.5)


def test_one_seed_has_no_standard_errors(place: Path) -> None:
    chains = read(place, "one")
    assert np.isnan(chains.curve("fid", {})[1].standard_error).all()
    assert chains.over_seeds(["fid"])["fid_standard_error"].isna().all()
    assert len(chains.number("fid", {}, 1).values) == 1


def test_the_table_has_a_row_per_cell_and_generation(place: Path) -> None:
    table = read(place, "two").over_seeds(["fid", "variance"])
    names = ["fid", "fid_standard_error", "variance", "variance_standard_error"]
    assert list(table.columns) == ["lambda", "generation", *names]
    assert len(table) == 2 * 3
    assert (table["fid_standard_error"] > 0).all()


def test_the_table_with_floors_begins_with_what_real_samples_have(place: Path) -> None:
    chains = read(place, "two")
    table = chains.with_floors(["fid", "variance"])
    plain = chains.over_seeds(["fid", "variance"])
    assert list(table.columns) == list(plain.columns)
    first, rest = table.iloc[0], table.iloc[1:].reset_index(drop=True)
    assert first["lambda"] == "real against real"
    assert (first["fid"], first["variance"]) == (chains.floors["fid"], chains.floors["variance"])
    assert np.isnan([first["generation"], first["fid_standard_error"]]).all()
    assert rest.astype(plain.dtypes).equals(plain)


def test_numbers_that_were_not_measured_are_left_out(place: Path) -> None:
    assert read(place, "two").told(["recall", "label_accuracy", "fid"]) == ["recall", "fid"]


def test_lambda_is_known_whether_or_not_the_grid_varies_it(place: Path) -> None:
    assert read(place, "two").biases == [1.0, 0.5]
    assert read(place, "one").biases == [0.5]
    assert read(place, "one").number("fid", {"lambda": 0.5}, 1).values.shape == (1,)


def test_every_number_has_its_floor_and_the_variance_that_of_the_real_samples(place: Path) -> None:
    chains = read(place, "two")
    assert set(chains.floors) == {"fid", "precision", "recall", "variance"}
    real = madray.open(place)["two"].real({"lambda": 0.5}).flat().astype(float)
    assert chains.floors["variance"] == pytest.approx(np.trace(np.cov(real, rowvar=False)), rel=1e-6)


def test_the_noise_of_measuring_is_about_what_other_samples_make(place: Path) -> None:
    """The variance's is an upper bound; the binomial is what independent samples have."""
    chains = Chains("x", pd.DataFrame(), {"fid": 3.0}, n_eval=400)
    assert chains._noise("fid", 100.0) == 3.0
    assert chains._noise("variance", 100.0) == 5.0
    assert chains._noise("precision", 0.5) == pytest.approx(0.5 / 20)
    assert 0 < chains._noise("recall", 0.0) < chains._noise("recall", 0.1)
    assert np.isnan(Chains("x", pd.DataFrame(), {}, 400)._noise("fid", 1.0))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("begun", "begun: expected all 3 rows of the sweep, got 0; try madray resume begun"),
        ("short", "short: expected 2 or more generations, got 1"),
        ("theory", "theory: expected a sweep of chains, got one of theory"),
        ("none", "got 'none'; there are: begun, one, short, theory, two"),
    ],
)
def test_a_sweep_that_cannot_be_used_is_refused(place: Path, name: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read(place, name)


def test_what_a_sweep_does_not_have_is_told(place: Path) -> None:
    chains = read(place, "two")
    with pytest.raises(BadInput, match=r"two: expected one cell for lambda=0\.7, got 0 rows"):
        chains.number("fid", {"lambda": 0.7}, 1)
    with pytest.raises(BadInput, match="two: expected one cell for the only cell, got 18 rows"):
        chains.number("fid", {}, 1)
    with pytest.raises(BadInput, match="two: expected n_ini in the sweep's table, which has lambda, seed"):
        chains.values("n_ini")
    with pytest.raises(BadInput, match="two: expected w2 in the sweep's table"):
        chains.over_seeds(["w2"])
