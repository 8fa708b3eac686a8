"""Vectors of any kind: no family and no number depends on the units of the columns that a user brings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray

from madray.engine.prepare import Prepared, prepare
from madray.errors import BadInput
from madray.generators.protocol import build_generator, sample
from madray.metrics.features import extract
from madray.running import run_chain
from madray.samples import SampleSet
from madray.spec.generators import DDPM, GMM, Flow, Gaussian, Generator
from madray.spec.metrics import Standardised
from madray.spec.reading import check_sweep, read_sweep
from madray.store import Store
from madray.streams import Stream

EXAMPLE = Path(__file__).parents[1] / "sweeps" / "columns.yaml"
NAMES = ["height_m", "income", "age", "weight_kg"]

FACTORS = np.array([2.0**10, 2.0**-7, 3.0, 2.0**16])
SHIFTS = np.array([2.0**12, -1.0, 0.0, 2.0**18])
"""Other units and origins, such that `people` have exact float32 values in them as well."""

FAMILIES: dict[str, Generator] = {
    "gaussian": Gaussian(),
    "gmm, full": GMM(components=3),
    "gmm, tied": GMM(components=3, covariance="tied"),
    "gmm, diag": GMM(components=3, covariance="diag"),
    "flow": Flow(layers=3, width=16, epochs=4, batch=32),
    "ddpm": DDPM(timesteps=20, steps=200, warmup=10, width=32, depth=2, batch=64),
}
BIASES = {"ddpm": 1.0}
"""λ where it is not 0.8: without labels a ddpm has nothing to be guided by."""


def people(n: int = 200) -> NDArray[np.float32]:
    """Columns with deviations 20,000-fold apart: some skewed, two of them correlated; on a coarse grid."""
    random = Stream.of("test", "people").numpy()
    height = random.normal(1.7, 0.1, n)
    income = random.lognormal(8.0, 0.5, n)
    age = random.uniform(20, 70, n)
    weight = 60 + 80 * (height - 1.7) + random.normal(0, 3, n)
    columns = np.stack([height, income, age, weight], axis=1)
    return (np.rint(columns * 256) / 256).astype(np.float32)


def in_other_units(points: NDArray[np.float32]) -> NDArray[np.float32]:
    exact = points * FACTORS + SHIFTS
    other = exact.astype(np.float32)
    np.testing.assert_array_equal(other, exact)
    return other


# Families


def drawn(settings: Generator, points: NDArray[np.float32], bias: float) -> NDArray[np.float64]:
    model = build_generator(settings)
    model.fit(SampleSet(points), stream=Stream.of("test", "fit"))
    made = sample(model, 300, chunk=128, bias=bias, stream=Stream.of("test", "draw"))
    return made.values.astype(np.float64)


@pytest.mark.parametrize("family", FAMILIES)
def test_columns_in_other_units_give_the_same_samples_in_other_units(family: str) -> None:
    points, bias = people(), BIASES.get(family, 0.8)
    here = drawn(FAMILIES[family], points, bias)
    there = drawn(FAMILIES[family], in_other_units(points), bias)
    deviations = points.std(axis=0)
    # A sample is rounded to float32, by at most 2⁻²⁴ of it: four times that. In a network z is float32 as well.
    rounding = 2.0**-22 * (np.abs(there) / FACTORS + np.abs(here)).max(axis=0)
    off = np.abs((there - SHIFTS) / FACTORS - here).max(axis=0)
    assert (off <= rounding + 1e-5 * deviations).all()
    assert (here.std(axis=0) > 0.1 * deviations).all()  # samples that do not vary would agree as well


@pytest.mark.parametrize("family", FAMILIES)
def test_each_column_keeps_its_mean_and_its_deviation(family: str) -> None:
    points = people()
    made = drawn(FAMILIES[family], points, 1.0)
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    # 300 samples: a mean is off by more than 0.35 deviations once in 10⁹ times for the exact model; the
    # flow, small and trained for moments, is given as much again.
    assert (np.abs(made.mean(axis=0) - mean) < 0.7 * deviation).all()
    assert (made.std(axis=0) > deviation / 2).all()
    assert (made.std(axis=0) < deviation * 2).all()


# Numbers


def test_standardised_features_are_the_same_in_other_units() -> None:
    real, made = people()[:100], people()[100:] * np.float32(1.5)
    here = extract(Standardised(), SampleSet(made), SampleSet(real))
    there = extract(Standardised(), SampleSet(in_other_units(made)), SampleSet(in_other_units(real)))
    np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-6)


def test_standardised_features_of_the_real_set_have_mean_0_and_deviation_1() -> None:
    real = SampleSet(np.c_[people(), np.full(200, 7, np.float32)])
    features = extract(Standardised(), real, real).astype(np.float64)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(features.std(axis=0), [1, 1, 1, 1, 0], atol=1e-6)


def test_standardised_features_need_the_real_set() -> None:
    with pytest.raises(ValueError, match="expected real samples for the extractor standardised, got none"):
        extract(Standardised(), SampleSet(people()))


# Chains


def write(folder: Path, points: NDArray[np.float32], **others: Any) -> None:
    columns = dict(zip(NAMES, points.T, strict=True))
    pq.write_table(pa.table({**columns, **others}), folder / "people.parquet")


CHAIN: dict[str, Any] = {
    "reference": {"kind": "parquet", "path": "people.parquet"},
    "generator": "gaussian",
    "loop": "fully_synthetic",
    "n_ini": 80,
    "n_s": 80,
    "n_eval": 100,
    "generations": 3,
    "metrics": ["fid", "precision_recall"],
    "extractor": "standardised",
}


def prepared(folder: Path, **changed: Any) -> Prepared:
    raw = {"name": "s", "chain": {**CHAIN, **changed}}
    return prepare(check_sweep(raw, name="x"), store=Store.open(folder / "store"), data=folder)


@pytest.mark.parametrize(
    "generator",
    [
        {"kind": "gaussian"},
        # At the default, 1e-16, rounding in float64 decides about components of d points or fewer.
        {"kind": "gmm", "components": 3, "regularization": 1e-14},
        {"kind": "flow", "layers": 2, "width": 8, "epochs": 2},
        {"kind": "ddpm", "timesteps": 5, "steps": 20, "warmup": 2, "width": 16, "depth": 1},
    ],
    ids=lambda generator: str(generator["kind"]),
)
def test_a_chain_in_other_units_has_the_same_numbers(tmp_path: Path, generator: Mapping[str, Any]) -> None:
    numbers = []
    for points in (people(), in_other_units(people())):
        write(tmp_path, points)
        table = run_chain({**CHAIN, "generator": generator}, data=tmp_path).table()
        numbers.append(table[["fid", "precision", "recall"]].to_numpy())
    here, there = numbers
    assert here.shape == (3, 3)
    np.testing.assert_allclose(there[:, 0], here[:, 0], rtol=1e-3)
    # One of the 100 samples may lie on the surface of a ball, as far as float32 tells.
    np.testing.assert_allclose(there[:, 1:], here[:, 1:], atol=0.011)


def test_columns_of_unlike_units_are_worth_a_word_where_metrics_see_them_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, people())
    [note] = prepared(tmp_path, extractor="identity").notes
    assert "varies" in note
    assert "`extractor: standardised`" in note
    assert not prepared(tmp_path).notes
    assert not prepared(tmp_path, extractor="identity", metrics=["variance"]).notes
    run_chain({**CHAIN, "generations": 1}, store=tmp_path / "store", data=tmp_path)
    assert prepared(tmp_path, extractor="identity").notes == [note]  # as the store recorded it
    write(tmp_path, (people() / people().std(axis=0)).astype(np.float32))
    assert not prepared(tmp_path, extractor="identity").notes


def test_samples_come_out_in_the_columns_that_went_in(tmp_path: Path) -> None:
    write(tmp_path, people(), label=[0, 1] * 100)
    chosen = {**CHAIN["reference"], "values": ["age", "income"]}
    for reference, names in ((CHAIN["reference"], NAMES), (chosen, ["age", "income"])):
        results = run_chain({**CHAIN, "reference": reference}, data=tmp_path)
        assert results.real().names() == names
        generation = results.generation(None, 3)
        frame = generation.frame(5)
        assert list(frame.columns) == names  # a Gaussian makes no labels
        np.testing.assert_array_equal(frame.to_numpy(), generation.sample(5).values)


def test_samples_of_no_columns_have_numbered_ones(tmp_path: Path) -> None:
    chain = {**CHAIN, "reference": {"kind": "gaussian", "d": 3}}
    assert list(run_chain(chain).generation(None, 2).frame(4).columns) == ["x0", "x1", "x2"]
    generator = {"kind": "ddpm", "timesteps": 2, "steps": 2, "warmup": 1, "width": 8, "depth": 1}
    images = run_chain({**CHAIN, "generator": generator, "reference": "digits", "extractor": "identity"})
    with pytest.raises(BadInput, match=r"expected vectors for a data frame, got images of \(1, 8, 8\)"):
        images.generation(None, 1).frame(2)


# What is refused, before anything is made

REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "constant": (
        {"country": [49] * 200}, {},
        "chain.reference: expected numbers that vary in column 'country' of .*people.parquet, got 49 in each",
    ),
    "nan": (
        {"shoe": [*range(199), float("nan")]}, {},
        "chain.reference: expected finite numbers in float32 in row 199 of column 'shoe' of .*, got nan, try",
    ),
    "text": (
        {"name": ["a"] * 200}, {},
        r"chain.reference: expected numbers in column 'name' of .*, got string, try `values: \[height_m, income,",
    ),
    "no such column": (
        {}, {"reference": {**CHAIN["reference"], "values": ["age", "size"]}},
        "chain.reference: expected a column 'size' in .*, got height_m, income, age, weight_kg, try",
    ),
    "too few rows": (
        {}, {"n_ini": 201}, "chain.n_ini: expected at most the 200 samples of parquet, got 201"),
    "fewer samples than components": (
        {}, {"generator": {"kind": "gmm", "components": 81}},
        ".*chain.n_ini: expected at least 81 real samples for gmm with as many components, got 80",
    ),
    "one column for a flow": (
        {}, {"generator": "flow", "reference": {**CHAIN["reference"], "values": "age"}},
        "chain.generator: expected vectors of 2 numbers or more for flow, got 1; try gaussian or gmm",
    ),
    "vectors for a model of images": (
        {}, {"generator": "wgan_gp"},
        r"chain.generator: expected images for wgan_gp, got vectors of shape \(4,\); try gaussian, gmm, ddpm",
    ),
    **{
        f"images for {kind}": (
            {}, {"generator": kind, "reference": "digits"},
            rf"chain.generator: expected vectors for {kind}, got images of shape \(1, 8, 8\); try ddpm, wgan_gp",
        )
        for kind in ("gaussian", "gmm", "flow")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_modelled_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    columns, changed, told = REFUSED[name]
    write(tmp_path, people(), **columns)
    with pytest.raises(BadInput, match=f"^{told}") as error:
        prepared(tmp_path, **changed)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "store").exists()


# The example


def the_data_of_the_example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the lines of Python that its comment has."""
    lines = [line[4:] for line in EXAMPLE.read_text().splitlines() if line.startswith("#   ")]
    monkeypatch.chdir(folder)
    exec("\n".join(lines), {})


def test_the_example_plans_on_the_data_that_its_comment_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_data_of_the_example(tmp_path, monkeypatch)
    assert list(pd.read_parquet("people.parquet").columns) == ["height_m", "weight_kg", "age", "income"]
    made = prepare(read_sweep(EXAMPLE), store=Store.open(tmp_path / "store"), data=None)
    assert (made.plan.generations, made.notes) == (20, [])


@pytest.mark.parametrize("kind", ["gaussian", "gmm", "flow", "ddpm"])
def test_the_example_runs(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    the_data_of_the_example(tmp_path, monkeypatch)
    file = yaml.safe_load(EXAMPLE.read_text())
    generators = [{"kind": each} if isinstance(each, str) else each for each in file["grid"]["generator"]]
    [generator] = [each for each in generators if each["kind"] == kind]
    fast = {"ddpm": {"steps": 20, "warmup": 2, "timesteps": 5}, "flow": {"epochs": 1}}
    sizes = {"n_ini": 200, "n_s": 200, "n_eval": 100, "generations": 2}
    chain = {**file["chain"], **sizes, "generator": generator | fast.get(kind, {})}
    numbers = run_chain(chain).table()[["fid", "precision", "recall"]].to_numpy()
    assert numbers.shape == (2, 3)
    assert np.isfinite(numbers).all()
