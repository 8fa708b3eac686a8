"""Expectation maximization: scikit-learn's likelihood, its laws, and digits that collapse does not take."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from madray.generators import mixture as module
from madray.generators.covariances import SHAPES, Diagonals, Matrices
from madray.generators.mixture import Fit, Mixture, begin, distinct, maximise
from madray.generators.seeding import spread_centres
from madray.streams import Stream

K = 4


def overlapping(d: int, n: int = 400) -> np.ndarray:
    """Points of four Gaussians that touch each other, shape (d, n)."""
    numbers = Stream.of("mixture", d).numpy()
    parts = [
        centre + numbers.normal(size=(n // K, d)) @ numbers.normal(size=(d, d))
        for centre in 2 * numbers.normal(size=(K, d))
    ]
    points: np.ndarray = np.concatenate(parts).T
    return (points - points.mean(axis=1, keepdims=True)) / points.std(axis=1, keepdims=True)


def start(points: np.ndarray) -> np.ndarray:
    return spread_centres(points, K, Stream.of("start").numpy())


def fitted(points: np.ndarray, shape: str, **settings: float) -> Fit:
    chosen = {"floor": 1e-9, "tolerance": 1e-10, "max_steps": 2000, **settings}
    first = begin(points, start(points), shape=SHAPES[shape], floor=chosen["floor"])
    return maximise(points, first, shape=SHAPES[shape], **chosen)


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_it_has_the_likelihood_of_scikit_learn_after_as_many_steps(shape: str, d: int) -> None:
    points = overlapping(d)
    found = fitted(points, shape)
    small = {"full": np.full((K, 1, 1), 1e9) * np.eye(d), "tied": 1e9 * np.eye(d)}
    small |= {"diag": np.full((K, d), 1e9), "spherical": np.full(K, 1e9)}
    theirs = GaussianMixture(
        K,
        covariance_type=shape,
        tol=1e-10,
        max_iter=2000,
        reg_covar=1e-9,
        weights_init=np.full(K, 1 / K),
        means_init=points[:, start(points)].T,
        precisions_init=small[shape],
    ).fit(points.T)
    assert found.steps == theirs.n_iter_
    assert found.log_likelihood == pytest.approx(theirs.lower_bound_, abs=1e-9)
    assert found.mixture.log_density(points) == pytest.approx(theirs.score_samples(points.T), abs=1e-4)


@pytest.mark.parametrize("floor", [1e-9, 0.05])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_no_step_lowers_the_likelihood_even_where_the_floor_holds(shape: str, floor: float) -> None:
    points = overlapping(2)
    found = [
        fitted(points, shape, floor=floor, tolerance=1e-300, max_steps=steps).log_likelihood
        for steps in range(1, 40)
    ]
    assert np.diff(found).min() > -1e-12
    assert found[-1] > found[1] + 1e-3  # it did go on


def test_the_density_is_that_of_its_components() -> None:
    numbers = Stream.of("density").numpy()
    roots = Matrices.above(np.array([[[2.0, 0.5], [0.5, 1.0]], [[0.1, 0.0], [0.0, 3.0]]]), 0.0)
    mixture = Mixture(np.array([0.3, 0.7]), np.array([[0.0, 1.0], [-2.0, 0.0]]), roots)
    points = numbers.normal(size=(2, 50))
    for bias in (1.0, 0.25):
        expected = sum(
            weight * multivariate_normal(mean, bias * covariance).pdf(points.T)
            for weight, mean, covariance in zip(mixture.weights, mixture.means, roots.matrices(), strict=True)
        )
        assert np.exp(mixture.scaled(bias).log_density(points)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", list(SHAPES))
def test_samples_have_the_moments_of_the_mixture(shape: str) -> None:
    """20,000 samples; six standard errors, 2e-9 by chance in each of 5 moments."""
    mixture = fitted(overlapping(2), shape).mixture
    samples = mixture.sample(20_000, Stream.of("samples").numpy())
    mean = mixture.weights @ mixture.means
    outer = mixture.means[:, :, None] * mixture.means[:, None] + mixture.covariances.matrices()
    products = samples[:, :, None] * samples[:, None]
    for values, expected in ((samples, mean), (products, np.tensordot(mixture.weights, outer, axes=1))):
        errors = values.std(axis=0) / len(values) ** 0.5
        assert (np.abs(values.mean(axis=0) - expected) < 6 * errors).all()


@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_component_that_shrank_to_a_ten_millionth_keeps_its_digits(shape: str) -> None:
    """Two clusters of width 10⁻⁷ at a distance of 2: the largest numbers are 10¹⁴ times its variance."""
    numbers = Stream.of("shrunk").numpy()
    shapes = numbers.normal(size=(2, 100))
    clusters = [np.array([[1.0], [1.0]]) + 1e-7 * shapes, np.array([[-1.0], [-1.0]]) - 1e-7 * shapes]
    points = np.concatenate(clusters, axis=1)
    first = begin(points, np.array([0, 100]), shape=SHAPES[shape], floor=1e-16)
    found = maximise(points, first, shape=SHAPES[shape], floor=1e-16, tolerance=1e-9, max_steps=50).mixture
    deviations = [cluster - cluster.mean(axis=1, keepdims=True) for cluster in clusters]
    expected = np.array([each @ each.T / 100 for each in deviations])
    if shape in ("diag", "spherical"):
        expected = expected * np.eye(2)
    if shape == "spherical":
        expected = np.trace(expected, axis1=1, axis2=2)[:, None, None] / 2 * np.eye(2)
    if shape == "tied":
        expected = expected.mean(axis=0, keepdims=True)
    assert found.covariances.matrices() == pytest.approx(expected, rel=1e-6, abs=1e-20)


def test_how_many_points_are_taken_at_once_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    points = overlapping(2)
    together = fitted(points, "full")
    monkeypatch.setattr(module, "_CELLS", 100)
    apart = fitted(points, "full")
    assert apart.steps == together.steps
    assert apart.mixture.means == pytest.approx(together.mixture.means, abs=1e-9)
    assert apart.mixture.log_density(points) == pytest.approx(together.mixture.log_density(points), abs=1e-9)


def test_the_floor_bounds_every_direction_of_every_shape() -> None:
    points = np.stack([np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)])  # a line: no width across
    for shape in SHAPES:
        matrices = fitted(points, shape, floor=1e-3).mixture.covariances.matrices()
        assert np.linalg.eigvalsh(matrices).min() >= 1e-3 * (1 - 1e-9)


def test_roots_undo_themselves() -> None:
    numbers = Stream.of("roots").numpy()
    factors = numbers.normal(size=(3, 4, 4))
    points, means = numbers.normal(size=(4, 6)), numbers.normal(size=(3, 4))
    for covariances in (
        Matrices.above(factors @ factors.swapaxes(1, 2), 0.0),
        Diagonals.above(numbers.random((3, 4)), 0.0),
    ):
        z = covariances.inwards(points, means)
        assert z.shape == (3, 4, 6)
        back = means + covariances.outwards(z[:, :, 2])
        assert back == pytest.approx(np.tile(points[:, 2], (3, 1)), abs=1e-10)
        assert covariances.half_log_det == pytest.approx(np.linalg.slogdet(covariances.matrices())[1] / 2)


def test_it_ends_when_a_step_gains_too_little_or_there_were_too_many() -> None:
    points = overlapping(2)
    assert fitted(points, "full", max_steps=3).steps == 3
    whole = fitted(points, "full", tolerance=1e-6)
    before = fitted(points, "full", tolerance=1e-6, max_steps=whole.steps - 1)
    earlier = fitted(points, "full", tolerance=1e-6, max_steps=whole.steps - 2)
    assert whole.log_likelihood - before.log_likelihood < 1e-6
    assert before.log_likelihood - earlier.log_likelihood >= 1e-6


@pytest.mark.parametrize("shape", list(SHAPES))
def test_copies_count_as_if_each_were_there(shape: str) -> None:
    points = overlapping(2)
    repeated = np.concatenate([points, points[:, :150], points[:, :40]], axis=1)
    few, copies = distinct(repeated)
    assert few.shape == points.shape
    assert sorted(copies) == [1.0] * 250 + [2.0] * 110 + [3.0] * 40
    settings = {"shape": SHAPES[shape], "floor": 1e-9}
    places = [
        np.flatnonzero((each[:, np.newaxis] == few).all(axis=0))[0] for each in points[:, start(points)].T
    ]
    chosen = {"tolerance": 1e-10, "max_steps": 2000, **settings}
    told = maximise(few, begin(few, np.array(places), **settings), copies=copies, **chosen)
    expected = maximise(repeated, begin(repeated, start(points), **settings), **chosen)
    assert told.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-9)
    assert told.mixture.weights == pytest.approx(expected.mixture.weights, abs=1e-6)


def test_points_that_differ_in_a_bit_are_no_copies() -> None:
    points = np.array([[1.0, np.nextafter(1.0, 2.0), 1.0], [0.0, 0.0, np.nextafter(1.0, 2.0) - 1.0]])
    few, copies = distinct(points)
    assert few.shape == (2, 3)
    assert copies.tolist() == [1.0, 1.0, 1.0]
