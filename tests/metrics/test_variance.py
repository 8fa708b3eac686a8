"""Trace of the covariance."""

import numpy as np
import pytest

from madray.metrics import Evidence, trace_of_covariance
from madray.metrics.variance import measure_variance
from madray.samples import SampleSet
from madray.spec.metrics import Variance
from madray.streams import Stream


def measured(values: np.ndarray) -> float:
    evidence = Evidence(generator=None, reference=None, bias=1.0, samples=SampleSet(values))
    return measure_variance(Variance(), evidence)["variance"]


def test_two_points_have_half_their_squared_distance():
    assert trace_of_covariance(np.array([[0.0, 0.0], [3.0, 4.0]])) == 12.5


def test_it_is_the_trace_of_the_unbiased_covariance(monkeypatch):
    samples = Stream.of(0, "samples").numpy().standard_normal((101, 7)).astype(np.float32)
    expected = np.trace(np.cov(samples.astype(np.float64), rowvar=False))
    assert trace_of_covariance(samples) == pytest.approx(expected, rel=1e-13)
    monkeypatch.setattr("madray.metrics.moments.CELLS", 70)
    assert trace_of_covariance(samples) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 1003])
def test_one_sample_and_equal_samples_have_none(n):
    assert trace_of_covariance(np.full((n, 3), 0.1, np.float32)) == 0


def test_a_small_variance_far_from_the_origin_is_not_lost():
    samples = np.float64(1e6) + np.array([[-1e-3], [1e-3]])
    assert trace_of_covariance(samples) == pytest.approx(2e-6, rel=1e-6)


def test_images_count_as_vectors_of_0_to_1():
    images = np.zeros((2, 1, 2, 2), np.uint8)
    images[1] = 255
    assert measured(images) == pytest.approx(4 / 2, rel=1e-6)


def test_vectors_count_as_they_are():
    assert measured(np.array([[0.0], [2.0]], np.float32)) == 2


def test_the_variance_of_gaussian_samples_is_theirs_within_what_chance_allows():
    """(n - 1) tr / σ² is χ² of (n - 1)d degrees: 6 standard deviations are crossed once in 5e8 runs."""
    n, d = 5000, 4
    samples = Stream.of(0, "samples", n).numpy().standard_normal((n, d))
    assert trace_of_covariance(samples) == pytest.approx(d, abs=6 * d * np.sqrt(2 / (n * d)))


def test_samples_that_are_missing_or_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"expected evidence with samples, got none, try needs_samples"):
        measure_variance(Variance(), Evidence(generator=None, reference=None, bias=1.0))
    with pytest.raises(ValueError, match=r"expected finite samples, got NaN or infinity in 1 of 2 rows"):
        trace_of_covariance(np.array([[0.0], [np.nan]]))
