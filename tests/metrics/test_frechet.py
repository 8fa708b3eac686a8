"""Fréchet distance: closed forms, collapse, an independent implementation, statistics, bad input."""

import numpy as np
import pytest
import scipy.linalg

from madray.metrics import Evidence, frechet_between_gaussians, frechet_distance
from madray.metrics.frechet import measure_fid
from madray.metrics.moments import mean, mean_and_covariance, root
from madray.metrics.real_side import make_real_side
from madray.spec.metrics import FID
from madray.streams import Stream


def numbers(*shape: int, role: str = "features") -> np.ndarray:
    return Stream.of(0, role, *shape).numpy().standard_normal(shape)


def between(mu_r, sigma_r, mu_g, sigma_g) -> float:
    return frechet_between_gaussians(
        mu_r=np.array(mu_r, float),
        root_r=root(np.array(sigma_r, float)),
        mu_g=np.array(mu_g, float),
        sigma_g=np.array(sigma_g, float),
    )


@pytest.mark.parametrize(
    ("mu", "std_r", "std_g"), [(0, 1, 1), (3, 1, 2), (-2, 0.5, 1e-3), (1, 0, 2), (1, 3, 0)]
)
def test_in_one_dimension_it_is_the_squared_difference_of_means_and_stds(mu, std_r, std_g):
    assert between([0], [[std_r**2]], [mu], [[std_g**2]]) == pytest.approx(
        mu**2 + (std_r - std_g) ** 2, abs=1e-12
    )


def test_diagonal_covariances_add_up_coordinate_by_coordinate():
    std_r, std_g = np.array([1.0, 2.0, 0.0, 5.0]), np.array([2.0, 2.0, 1.0, 0.0])
    found = between(np.zeros(4), np.diag(std_r**2), np.ones(4), np.diag(std_g**2))
    assert found == pytest.approx(4 + ((std_r - std_g) ** 2).sum(), abs=1e-12)


def test_a_rotation_of_both_changes_nothing():
    rotation, _ = np.linalg.qr(numbers(4, 4))
    a, b = np.diag([1.0, 4.0, 0.0, 9.0]), np.diag([4.0, 1.0, 1.0, 0.0])
    turned = between(np.zeros(4), rotation @ a @ rotation.T, np.zeros(4), rotation @ b @ rotation.T)
    assert turned == pytest.approx(1 + 1 + 1 + 9, abs=1e-6)


@pytest.mark.parametrize("n", [2, 20, 500])
def test_equal_sets_are_at_distance_0(n):
    features = numbers(n, 64)
    assert frechet_distance(real=features, generated=features) <= 1e-10


def test_equal_sets_with_constant_coordinates_are_at_distance_0():
    features = numbers(500, 64)
    features[:, ::3] = 0.7
    features[:, 1] = features[:, 2]
    assert frechet_distance(real=features, generated=features[::-1]) <= 1e-10


def test_the_order_of_samples_does_not_matter():
    features = numbers(300, 8)
    assert frechet_distance(real=features, generated=features[::-1]) <= 1e-10


def test_a_translation_by_s_is_at_distance_s_squared():
    features, shift = numbers(400, 10), np.arange(10) / 10
    found = frechet_distance(real=features, generated=features + shift)
    assert found == pytest.approx((shift**2).sum(), rel=1e-10)


def test_a_scaling_by_c_about_the_mean_costs_the_squared_difference_times_the_variance():
    features = numbers(400, 10)
    features -= features.mean(0)
    variance = np.trace(np.cov(features, rowvar=False))
    found = frechet_distance(real=features, generated=0.25 * features)
    assert found == pytest.approx(0.75**2 * variance, rel=1e-10)


def test_it_is_symmetric():
    a, b = numbers(50, 6), 2 * numbers(60, 6, role="other") + 1
    there, back = frechet_distance(real=a, generated=b), frechet_distance(real=b, generated=a)
    assert there == pytest.approx(back, rel=1e-10)


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_a_model_that_knows_one_point_is_at_the_distance_of_the_point_plus_the_variance(n):
    real, point = numbers(300, 5), np.full(5, 0.1)
    expected = ((real.mean(0) - point) ** 2).sum() + np.trace(np.cov(real, rowvar=False))
    found = frechet_distance(real=real, generated=np.repeat(point[None], n, axis=0))
    assert found == pytest.approx(expected, rel=1e-12)


def test_two_points_are_at_their_squared_distance():
    assert frechet_distance(real=np.zeros((1, 2)), generated=np.array([[3.0, 4.0]])) == 25


def test_a_model_collapsed_to_a_line_far_from_the_origin():
    real = numbers(400, 6)
    line = 1000 + np.outer(1e-3 * numbers(300, role="line"), np.ones(6))
    mu_r, sigma_r = mean_and_covariance(real)
    direction = np.ones(6) / np.sqrt(6)
    variance = np.trace(np.cov(line, rowvar=False))
    cross = np.sqrt(variance * (direction @ sigma_r @ direction))
    expected = ((mu_r - line.mean(0)) ** 2).sum() + np.trace(sigma_r) + variance - 2 * cross
    assert frechet_distance(real=real, generated=line) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n_r", "n_g"), [(10, 7), (100, 7), (7, 100)])
def test_fewer_samples_than_dimensions_agree_with_the_singular_values_of_the_cross_products(n_r, n_g):
    real, generated = numbers(n_r, 40), numbers(n_g, 40, role="generated") + 0.3
    r = (real - real.mean(0)) / np.sqrt(n_r - 1)
    g = (generated - generated.mean(0)) / np.sqrt(n_g - 1)
    nuclear = np.linalg.svd(r @ g.T, compute_uv=False).sum()
    apart = ((real.mean(0) - generated.mean(0)) ** 2).sum()
    expected = apart + (r**2).sum() + (g**2).sum() - 2 * nuclear
    assert frechet_distance(real=real, generated=generated) == pytest.approx(expected, rel=1e-9)


def test_it_agrees_with_the_matrix_square_root_of_scipy():
    a, b = numbers(16, 40), numbers(16, 40, role="other")
    sigma_r, sigma_g = a @ a.T / 40 + np.eye(16), b @ b.T / 40 + np.eye(16)
    mu = numbers(16, role="mean")
    middle = scipy.linalg.sqrtm(sigma_r @ sigma_g).real
    expected = (mu**2).sum() + np.trace(sigma_r + sigma_g - 2 * middle)
    assert between(np.zeros(16), sigma_r, mu, sigma_g) == pytest.approx(expected, abs=1e-8)


def test_any_factor_of_the_real_covariance_will_do():
    a, b = numbers(5, 9), numbers(5, 9, role="other")
    sigma_r, sigma_g = a @ a.T, b @ b.T
    zero = np.zeros(5)
    by_cholesky = frechet_between_gaussians(
        mu_r=zero, root_r=np.linalg.cholesky(sigma_r), mu_g=zero, sigma_g=sigma_g
    )
    assert by_cholesky == pytest.approx(between(zero, sigma_r, zero, sigma_g), rel=1e-10)


def test_moments_are_those_of_numpy_and_the_covariance_is_unbiased(monkeypatch):
    features = numbers(101, 7).astype(np.float32)
    monkeypatch.setattr("madray.metrics.moments.CELLS", 70)
    mu, sigma = mean_and_covariance(features)
    assert mu.dtype == sigma.dtype == np.float64
    np.testing.assert_allclose(mu, features.astype(np.float64).mean(0), atol=1e-15)
    np.testing.assert_allclose(sigma, np.cov(features.astype(np.float64), rowvar=False), atol=1e-14)


def test_the_mean_of_equal_samples_is_the_sample_and_their_covariance_is_0():
    features = np.full((1003, 3), 0.1, np.float32)
    mu, sigma = mean_and_covariance(features)
    assert (mu == features[0]).all()
    assert (mean(features) == mu).all()
    assert (sigma == 0).all()


@pytest.mark.parametrize("rank", [0, 1, 3, 6])
def test_the_root_of_a_singular_covariance_gives_it_back(rank):
    factor = numbers(6, rank)
    sigma = factor @ factor.T
    made = root(sigma)
    np.testing.assert_allclose(made @ made.T, sigma, atol=1e-13)
    assert np.count_nonzero(made.any(axis=0)) == rank


def test_fid_of_a_generation_is_the_distance_of_its_features_to_the_real_side():
    real, generated = numbers(60, 5).astype(np.float32), numbers(50, 5, role="g").astype(np.float32)
    evidence = Evidence(
        generator=None, reference=None, bias=1.0, features=generated, real=make_real_side(real)
    )
    found = measure_fid(FID(), evidence)
    assert found == {"fid": pytest.approx(frechet_distance(real=real, generated=generated), rel=1e-12)}


def test_samples_of_one_gaussian_are_at_the_distance_that_chance_allows():
    """Near equality d² ≈ |Δμ|² + |ΔΣ|²/4, so n d²/2 is χ²₃ + χ²₆/2, which is below χ²₉: above 62 less
    than once in 1e9 runs."""
    n = 20_000
    real, generated = numbers(n, 3), numbers(n, 3, role="generated")
    assert 0 < frechet_distance(real=real, generated=generated) < 2 * 62 / n


def test_fid_without_features_says_what_is_missing():
    with pytest.raises(ValueError, match=r"expected evidence with features, got none, try needs_real"):
        measure_fid(FID(), Evidence(generator=None, reference=None, bias=1.0))


def test_shapes_that_disagree_are_refused():
    with pytest.raises(
        ValueError, match=r"expected shapes \(d,\), \(d, d\), .* got \(\(2,\), \(3, 3\), .* try"
    ):
        frechet_between_gaussians(mu_r=np.zeros(2), root_r=np.eye(3), mu_g=np.zeros(2), sigma_g=np.eye(2))
    with pytest.raises(ValueError, match=r"features of the same d, got 3 and 4, try the same extractor"):
        frechet_distance(real=np.zeros((5, 3)), generated=np.zeros((5, 4)))
    with pytest.raises(
        ValueError, match=r"expected real features .* of shape \(n, d\), got float64 of shape \(5,\)"
    ):
        frechet_distance(real=np.zeros(5), generated=np.zeros((5, 4)))
    with pytest.raises(ValueError, match=r"expected generated features .* got float64 of shape \(0, 4\)"):
        frechet_distance(real=np.zeros((5, 4)), generated=np.zeros((0, 4)))


def test_numbers_that_are_not_finite_are_refused():
    broken = np.zeros((5, 2))
    broken[3, 1] = np.nan
    with pytest.raises(
        ValueError, match=r"finite generated features, got .* in 1 of 5 rows \(the first: 3\), try"
    ):
        frechet_distance(real=np.zeros((5, 2)), generated=broken)
    with pytest.raises(ValueError, match=r"expected finite means and covariances, got NaN or infinity, try"):
        between([0], [[1]], [np.inf], [[1]])


def test_what_is_no_covariance_has_no_root():
    with pytest.raises(ValueError, match=r"expected a covariance of shape \(d, d\), got \(2, 3\), try"):
        root(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"expected a symmetric covariance"):
        root(np.array([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"without negative eigenvalues, got -1, try"):
        root(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match=r"expected a finite covariance"):
        root(np.array([[np.nan]]))
