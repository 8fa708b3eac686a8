"""W2 between Gaussians: closed forms, singular covariances, and which generations have one."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from madray.metrics import Evidence, w2_squared_between_gaussians
from madray.metrics.wasserstein import measure_w2
from madray.references.analytic import GaussianReference, GMM25Reference
from madray.spec.metrics import W2
from madray.spec.references import GMM25, Gaussian
from madray.streams import Stream


def w2_squared(mu_a, sigma_a, mu_b, sigma_b) -> float:
    given = [np.array(array, float) for array in (mu_a, sigma_a, mu_b, sigma_b)]
    return w2_squared_between_gaussians(mu_a=given[0], sigma_a=given[1], mu_b=given[2], sigma_b=given[3])


def fitted(mean, covariance) -> SimpleNamespace:
    """What a Gaussian generator says of itself once it is fitted."""
    return SimpleNamespace(mean=np.array(mean, float), covariance=np.array(covariance, float))


def test_in_one_dimension_it_is_the_squared_difference_of_means_and_stds():
    assert w2_squared([1], [[4]], [3], [[9]]) == pytest.approx(4 + 1, abs=1e-12)


def test_diagonal_covariances_add_up():
    assert w2_squared([0, 0], np.diag([1, 4]), [1, 1], np.diag([9, 0])) == pytest.approx(2 + 4 + 4, abs=1e-12)


def test_points_are_at_their_squared_distance():
    zero = np.zeros((2, 2))
    assert w2_squared([0, 0], zero, [3, 4], zero) == 25


def test_equal_singular_gaussians_are_at_distance_0():
    factor = Stream.of(0, "factor").numpy().standard_normal((20, 7))
    sigma = factor @ factor.T
    assert w2_squared(np.zeros(20), sigma, np.zeros(20), sigma) <= 1e-10


def test_singular_gaussians_along_different_axes_share_nothing():
    assert w2_squared([0, 0], np.diag([4, 0]), [0, 0], np.diag([0, 9])) == pytest.approx(13, abs=1e-12)


def test_it_is_symmetric_and_keeps_the_triangle_inequality():
    rng = Stream.of(0, "three").numpy()
    three = [(rng.standard_normal(6), a @ a.T) for a in rng.standard_normal((3, 6, 4))]
    sides = [math.sqrt(w2_squared(*three[i], *three[j])) for i, j in [(0, 1), (1, 2), (0, 2)]]
    back = [math.sqrt(w2_squared(*three[j], *three[i])) for i, j in [(0, 1), (1, 2), (0, 2)]]
    assert sides == pytest.approx(back, rel=1e-7)
    assert sides[2] < sides[0] + sides[1]


def test_a_covariance_that_shrinks_to_0_leaves_the_variance_of_the_reference():
    d = 100
    found = [w2_squared(np.zeros(d), s * np.eye(d), np.zeros(d), np.eye(d)) for s in (1, 1e-4, 1e-20, 1e-300)]
    assert found == pytest.approx([0, d * 0.99**2, d, d], abs=1e-6)


def test_a_gaussian_generation_is_measured_unscaled_by_its_bias():
    reference = GaussianReference(Gaussian(d=2))
    for bias in (1.0, 0.25):
        evidence = Evidence(generator=fitted([3, 0], 4 * np.eye(2)), reference=reference, bias=bias)
        assert measure_w2(W2(), evidence) == pytest.approx({"w2_squared": 11, "w2": math.sqrt(11)})


@pytest.mark.parametrize(
    ("generator", "reference"),
    [
        (None, GaussianReference(Gaussian(d=2))),
        (SimpleNamespace(means=np.zeros((3, 2))), GaussianReference(Gaussian(d=2))),
        (fitted([0, 0], np.eye(2)), GMM25Reference(GMM25())),
        (fitted([0, np.inf], np.eye(2)), GaussianReference(Gaussian(d=2))),
        (fitted([0, 0], np.full((2, 2), np.nan)), GaussianReference(Gaussian(d=2))),
    ],
)
def test_where_there_is_no_w2_it_is_nan(generator, reference):
    found = measure_w2(W2(), Evidence(generator=generator, reference=reference, bias=1.0))
    assert list(found) == ["w2_squared", "w2"]
    assert all(math.isnan(value) for value in found.values())


def test_covariances_that_disagree_on_d_are_refused():
    with pytest.raises(ValueError, match=r"expected shapes \(d,\), \(d, d\), \(d,\), \(d, d\), got"):
        w2_squared([0, 0], np.eye(2), [0, 0, 0], np.eye(3))
    with pytest.raises(ValueError, match=r"without negative eigenvalues, got -1"):
        w2_squared([0], [[1]], [0], [[-1]])
