"""Analytic references: closed forms, then laws, then what is refused.

A statistic that is normal by the central limit theorem is compared at |z| < 5: a right program fails
with probability 6e-7 a number. Streams are named, so a test that passes once passes always; the rate
says how likely a name was to fail.
"""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from madray.errors import BadInput
from madray.references.analytic import GaussianReference, GMM25Reference, RosenbrockReference
from madray.references.protocol import Reference
from madray.spec.references import GMM25, Gaussian, Rosenbrock
from madray.streams import Stream

STREAM = Stream.of(0, 1, "real")
N = 100_000
MIXED = [[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]]
SINGULAR = [[1.0, 2.0], [2.0, 4.0]]


def close_to_mean(sample: np.ndarray, mean: float) -> bool:
    """Whether |z| < 5 for the sample's mean."""
    return bool(abs(sample.mean() - mean) < 5 * sample.std() / np.sqrt(len(sample)))


REFERENCES: dict[str, Reference] = {
    "standard": GaussianReference(Gaussian(d=2)),
    "wide": GaussianReference(Gaussian(d=100, mean=3.0, covariance=0.5)),
    "correlated": GaussianReference(Gaussian(d=3, mean=[1.0, 0.0, -1.0], covariance=MIXED)),
    "singular": GaussianReference(Gaussian(d=2, covariance=SINGULAR)),
    "many dimensions": GaussianReference(
        Gaussian(d=50, covariance=(np.eye(50) + 0.5 * np.ones((50, 50))).tolist())
    ),
    "gmm25": GMM25Reference(GMM25()),
    "rosenbrock": RosenbrockReference(Rosenbrock()),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_an_analytic_reference_keeps_the_protocol(name: str) -> None:
    reference = REFERENCES[name]
    assert isinstance(reference, Reference)
    assert reference.size is None
    drawn = reference.draw(5, STREAM)
    assert drawn.shape == reference.shape
    assert drawn.classes == reference.classes
    assert drawn.values.dtype == np.float32
    assert not drawn.is_image


@pytest.mark.parametrize("name", REFERENCES)
def test_fewer_samples_are_the_beginning_of_more(name: str) -> None:
    reference = REFERENCES[name]
    many = reference.draw(5000, STREAM)
    for n in (0, 1, 2, 3, 7, 31, 100, 1023, 1024, 1025, 2048, 3333, 4999):
        few = reference.draw(n, STREAM)
        assert few.values.tobytes() == many.values[:n].tobytes()
        if many.labels is not None:
            assert few.labels is not None
            assert (few.labels == many.labels[:n]).all()


@pytest.mark.parametrize("name", REFERENCES)
def test_streams_name_draws(name: str) -> None:
    reference = REFERENCES[name]
    again, other = reference.draw(9, STREAM), reference.draw(9, Stream.of(1, 1, "real"))
    assert again.values.tobytes() == reference.draw(9, STREAM).values.tobytes()
    assert not (again.values == other.values).any()


@pytest.mark.parametrize("name", REFERENCES)
def test_a_negative_number_of_samples_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"expected a draw of 0 samples or more, got -1"):
        REFERENCES[name].draw(-1, STREAM)


@pytest.mark.parametrize("name", ["standard", "correlated", "singular"])
def test_gaussian_draws_have_the_moments_of_the_reference(name: str) -> None:
    reference = REFERENCES[name]
    assert isinstance(reference, GaussianReference)
    apart = reference.draw(N, STREAM).values.astype(np.float64) - reference.mean
    for i in range(reference.mean.size):
        assert close_to_mean(apart[:, i], 0)
        for j in range(i + 1):  # E (x_i − μ_i)(x_j − μ_j) = Σ_ij
            assert close_to_mean(apart[:, i] * apart[:, j], reference.covariance[i, j])


def test_gaussian_draws_are_normal() -> None:
    # p < 1e-6 with probability 1e-6, a dimension.
    reference = GaussianReference(Gaussian(d=3, mean=[1.0, 0.0, -1.0], covariance=MIXED))
    values = reference.draw(N, STREAM).values.astype(np.float64)
    for i in range(3):
        normal = stats.norm(reference.mean[i], np.sqrt(reference.covariance[i, i]))
        assert stats.kstest(values[:, i], normal.cdf).pvalue > 1e-6


def test_a_singular_covariance_keeps_draws_in_its_plane() -> None:
    values = GaussianReference(Gaussian(d=2, covariance=SINGULAR)).draw(1000, STREAM).values
    np.testing.assert_allclose(values[:, 1], 2 * values[:, 0], atol=1e-5)


def test_a_number_a_list_and_a_matrix_say_the_same_covariance() -> None:
    settings = [
        Gaussian(d=3, mean=1.0, covariance=4.0),
        Gaussian(d=3, mean=[1.0] * 3, covariance=[4.0] * 3),
        Gaussian(d=3, mean=1.0, covariance=[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]),
    ]
    references = [GaussianReference(each) for each in settings]
    assert len({reference.draw(50, STREAM).values.tobytes() for reference in references}) == 1
    for reference in references:
        assert reference.mean.tolist() == [1.0, 1.0, 1.0]
        assert reference.mean.dtype == reference.covariance.dtype == np.float64
        assert reference.covariance.tolist() == (4 * np.eye(3)).tolist()


WRONG = [
    ({"mean": [0.0]}, "a mean of d = 2 numbers"),
    ({"covariance": [1.0, 1.0, 1.0]}, "a covariance of 2 variances or 2 × 2 numbers"),
    ({"covariance": [[1.0, 0.0], [0.0]]}, "a covariance of 2 variances or 2 × 2 numbers"),
    ({"covariance": [[1.0, 0.5], [0.4, 1.0]]}, "a symmetric covariance"),
    ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "a covariance without negative eigenvalues"),
    ({"covariance": [1.0, -1.0]}, "variances of 0 or more"),
    ({"covariance": -1.0}, "variances of 0 or more"),
    ({"covariance": [0.0, 0.0]}, "a variance above 0"),
    ({"mean": float("nan")}, "finite numbers"),
    ({"covariance": [float("inf"), 1.0]}, "finite numbers"),
]


@pytest.mark.parametrize(("fields", "expected"), WRONG)
def test_what_is_no_gaussian_is_refused_when_it_is_read(fields: dict[str, object], expected: str) -> None:
    # Infinities and NaN are refused for all settings alike, in words of pydantic's.
    expected = "finite number" if expected == "finite numbers" else f"expected {expected}"
    with pytest.raises(ValidationError, match=expected):
        Gaussian.model_validate({"d": 2, **fields})


@pytest.mark.parametrize(("fields", "expected"), WRONG)
def test_what_is_no_gaussian_is_refused_when_it_is_built(fields: dict[str, object], expected: str) -> None:
    unchecked = Gaussian(d=2).model_copy(update=fields)
    with pytest.raises(BadInput, match=f"expected {expected}.*, got .*, try"):
        GaussianReference(unchecked)


def test_gmm25_has_a_centred_grid_of_modes() -> None:
    reference = GMM25Reference(GMM25(spacing=3.0, std=0.1))
    assert reference.std == 0.1
    assert reference.means.shape == (25, 2)
    assert reference.means.dtype == np.float64
    assert len({tuple(mean) for mean in reference.means}) == 25
    assert set(reference.means.ravel()) == {-6.0, -3.0, 0.0, 3.0, 6.0}
    assert reference.means.mean(axis=0).tolist() == [0.0, 0.0]


def test_gmm25_draws_its_modes_alike() -> None:
    # χ² of 25 counts: p < 1e-6 with probability 1e-6.
    counts = GMM25Reference(GMM25()).draw(N, STREAM).label_counts()
    assert counts is not None
    assert stats.chisquare(counts).pvalue > 1e-6


def test_gmm25_draws_lie_around_the_mode_of_their_label() -> None:
    reference = GMM25Reference(GMM25())
    drawn = reference.draw(N, STREAM)
    z = (drawn.values - reference.means[drawn.labels]) / reference.std
    for i in range(2):
        assert stats.kstest(z[:, i], stats.norm.cdf).pvalue > 1e-6  # fails with probability 1e-6
        assert close_to_mean(z[:, i], 0)
        assert close_to_mean(z[:, i] ** 2, 1)
    assert close_to_mean(z[:, 0] * z[:, 1], 0)
    # The widths of all modes together: E x_i² = s² · (4 + 1 + 0 + 1 + 4)/5 + σ² = 2 s² + σ².
    assert close_to_mean(drawn.values[:, 0].astype(np.float64) ** 2, 8 + 0.05**2)


def test_rosenbrock_draws_have_the_moments_of_the_density() -> None:
    x1, x2 = RosenbrockReference(Rosenbrock()).draw(N, STREAM).values.astype(np.float64).T
    assert close_to_mean(x1, 0)
    assert close_to_mean(x1**2, 1)
    assert close_to_mean(x2, 1)
    assert close_to_mean((x2 - 1) ** 2, 2.5)
    assert close_to_mean(x1 * (x2 - 1), 0)
    assert close_to_mean(x1**2 * x2, 3)  # E x₁⁴


def test_rosenbrock_draws_follow_the_density() -> None:
    # Each p < 1e-6 with probability 1e-6.
    x1, x2 = RosenbrockReference(Rosenbrock()).draw(N, STREAM).values.astype(np.float64).T
    residual = (x2 - x1**2) * np.sqrt(2)
    assert stats.kstest(x1, stats.norm.cdf).pvalue > 1e-6
    assert stats.kstest(residual, stats.norm.cdf).pvalue > 1e-6
    assert stats.spearmanr(x1, residual).pvalue > 1e-6


def test_rosenbrock_density_integrates_to_one() -> None:
    # What the docstring divides by: exp(−x₁²/2 − (x₂ − x₁²)²) has the integral π √2.
    x1, x2 = np.meshgrid(np.linspace(-8, 8, 801), np.linspace(-5, 70, 3751), indexing="ij")
    integral = np.exp(-(x1**2) / 2 - (x2 - x1**2) ** 2).sum() * 0.02 * 0.02
    assert integral == pytest.approx(np.pi * np.sqrt(2), rel=1e-6)
