"""Gaussian mixtures: recovery, what λ does to a component, and a floor that shrinks with the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import madray
from madray.generators.gmm import GMMGenerator
from madray.generators.protocol import NO_CHECKPOINT, no_progress, sample
from madray.references.analytic import GMM25Reference
from madray.samples import SampleSet
from madray.spec.generators import GMM
from madray.spec.references import GMM25
from madray.streams import Stream

CENTRES = np.array([[0.0, 0.0], [20.0, 0.0]])
SHAPES = ["full", "tied", "diag", "spherical"]


def two_clusters() -> np.ndarray:
    numbers = Stream.of("gmm").numpy()
    return np.concatenate([centre + numbers.normal(size=(400, 2)) for centre in CENTRES]).astype(np.float32)


def fitted(values: np.ndarray, **settings: object) -> GMMGenerator:
    generator = GMMGenerator(GMM(**{"components": 2, **settings}))
    generator.fit(SampleSet(values), stream=Stream.of(1), checkpoint=NO_CHECKPOINT, progress=no_progress)
    return generator


@pytest.mark.parametrize("covariance", SHAPES)
def test_lambda_scales_every_component_about_its_own_centre(covariance: str) -> None:
    model = fitted(two_clusters(), covariance=covariance)
    draws = {
        bias: model.sample(200, bias=bias, stream=Stream.of("same"), labels=None).values.astype(np.float64)
        for bias in (1.0, 0.25, 0.0)
    }
    centres = draws[0.0]
    assert len({tuple(centre) for centre in np.round(centres, 3)}) == 2
    assert np.abs(centres[:, None] - model.means).max(axis=2).min(axis=1) == pytest.approx(0, abs=1e-5)
    assert draws[0.25] - centres == pytest.approx((draws[1.0] - centres) / 2, abs=1e-4)


@pytest.mark.parametrize("covariance", SHAPES)
def test_the_components_are_found(covariance: str) -> None:
    """Each mean of 400 points has a standard error of 0.05; six of them by chance: 2e-9 a coordinate. A
    variance has one of 0.07."""
    model = fitted(two_clusters(), covariance=covariance)
    order = np.argsort(model.means[:, 0])
    assert model.means[order] == pytest.approx(CENTRES, abs=0.3)
    assert model.weights == pytest.approx([0.5, 0.5], abs=1e-3)
    assert model.covariances == pytest.approx(np.tile(np.eye(2), (2, 1, 1)), abs=0.42)


def test_all_25_modes_are_found_from_a_thousand_samples() -> None:
    """Of 400 single starts on such sets none passed over a mode; ten fits take the likeliest of four each."""
    reference = GMM25Reference(GMM25())
    for seed in range(10):
        values = reference.draw(1000, Stream.of(seed, "real")).values
        apart = np.linalg.norm(fitted(values, components=25).means[:, None] - reference.means, axis=2)
        assert apart.min(axis=0).max() < 0.1


def test_fewer_points_than_components_give_as_many_components() -> None:
    model = fitted(np.float32([[0, 0], [1, 1], [1, 1], [5, 0]]), components=25)
    assert len(model.weights) == 3
    assert sorted(model.weights) == pytest.approx([0.25, 0.25, 0.5])


def test_the_likeliest_of_several_starts_goes_on() -> None:
    """Modes of 1, 2, 4, … 128 samples: single starts pass over the small ones now and then."""
    numbers = Stream.of("unequal").numpy()
    places = np.repeat(np.arange(8), 2 ** np.arange(8))
    values = np.stack([4 * places, 0 * places], axis=1) + numbers.normal(size=(len(places), 2))
    found = {
        restarts: [likelihood(values.astype(np.float32), seed, restarts=restarts) for seed in range(12)]
        for restarts in (1, 8)
    }
    assert min(found[8]) > min(found[1])
    assert np.mean(found[8]) > np.mean(found[1])


def likelihood(values: np.ndarray, seed: int, **settings: object) -> float:
    generator = GMMGenerator(GMM(components=8, **settings))
    generator.fit(SampleSet(values), stream=Stream.of(seed))
    return float(generator.log_likelihood(SampleSet(values)).mean())


# The floor


@pytest.mark.parametrize("unit", [1e-12, 1e9])
def test_a_model_does_not_depend_on_the_units_of_the_data(unit: float) -> None:
    """Coordinates of different sizes, too. Powers of two would agree to the bit."""
    values = two_clusters()
    scale = np.array([unit, 1.0])
    scaled, plain = fitted((values * scale).astype(np.float32)), fitted(values)
    # Equally likely starts are told apart by rounding, so components may change places.
    left, plain_left = (model.means[:, 0].argmin() for model in (scaled, plain))
    for component, other in ((left, plain_left), (1 - left, 1 - plain_left)):
        assert scaled.means[component] / scale == pytest.approx(plain.means[other], rel=1e-5, abs=1e-5)
        covariance = scaled.covariances[component] / np.outer(scale, scale)
        assert covariance == pytest.approx(plain.covariances[other], abs=1e-4)


def chain_of(generator: Mapping[str, Any], *, generations: int, n: int, folder: Path) -> madray.SweepResults:
    chain = {
        "reference": "gmm25",
        "generator": {"kind": "gmm", **generator},
        "loop": "fully_synthetic",
        "n_ini": n,
        "n_s": n,
        "n_eval": n,
        "generations": generations,
        "metrics": ["variance", "modes"],
    }
    return madray.run_chain(chain, seed=0, store=folder)


def test_the_variance_of_a_loop_goes_on_falling_far_below_any_fixed_floor(tmp_path: Path) -> None:
    """One component of ten samples: log Σ_t falls by 0.1 or more a generation, until float32 numbers around
    the mean cannot differ by less."""
    variance = chain_of({"components": 1}, generations=300, n=10, folder=tmp_path).table()["variance"]
    assert variance.iloc[0] > 1
    assert variance.iloc[-1] < 1e-12


def test_what_collapsed_to_a_point_is_a_result(tmp_path: Path) -> None:
    """A component a sample repeats its sample: each generation loses some, and none comes back."""
    table = chain_of({"components": 5}, generations=60, n=5, folder=tmp_path).table()
    assert table["variance"].iloc[0] > 1
    assert table["variance"].iloc[-1] == 0
    assert table["modal_variance"].iloc[-1] == 0


# The likelihood


@pytest.mark.parametrize("bias", [1.0, 0.3])
@pytest.mark.parametrize("covariance", SHAPES)
def test_the_density_integrates_to_1_on_a_grid(covariance: str, bias: float) -> None:
    model = fitted(two_clusters(), covariance=covariance)
    x, y = np.linspace(-10, 30, 801), np.linspace(-10, 10, 401)
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)
    density = np.exp(model.log_likelihood(SampleSet(grid), bias=bias))
    assert density.sum() * (x[1] - x[0]) * (y[1] - y[0]) == pytest.approx(1, abs=1e-3)


def test_a_coordinate_that_never_varies_comes_back_and_has_no_part_in_the_likelihood() -> None:
    values = two_clusters()
    wide = np.insert(values, 1, 7, axis=1)
    model, plain = fitted(wide), fitted(values)
    assert (sample(model, 50, chunk=50, bias=1.0, stream=Stream.of(2)).values[:, 1] == 7).all()
    assert model.log_likelihood(SampleSet(wide)) == pytest.approx(plain.log_likelihood(SampleSet(values)))
    assert (model.covariances[:, 1] == 0).all()
    assert (model.means[:, 1] == 7).all()
