"""Modes covered and average modal variance."""

import math

import numpy as np
import pytest

from madray.metrics import Evidence, average_modal_variance, modes_covered
from madray.metrics.measure import measure
from madray.metrics.modes import nearest_mode
from madray.references.analytic import GaussianReference, GMM25Reference
from madray.samples import SampleSet
from madray.spec.metrics import Modes
from madray.spec.references import GMM25, Gaussian
from madray.streams import Stream

MEANS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def measured(settings: Modes, values: np.ndarray, reference) -> dict[str, float]:
    samples = SampleSet(values.astype(np.float32))
    return measure(settings, Evidence(generator=None, reference=reference, bias=1.0, samples=samples))


def test_a_mode_is_covered_by_a_sample_within_its_reach_and_no_other():
    samples = np.array([[1.0, 0.0], [10.0, 4.0], [0.0, 5.9]])
    assert modes_covered(samples, means=MEANS, std=1.0) == 2
    assert modes_covered(samples, means=MEANS, std=1.0, within=3.9) == 1
    assert modes_covered(samples, means=MEANS, std=1.0, within=4.1) == 3
    assert modes_covered(samples, means=MEANS, std=0.1) == 0


def test_a_mode_needs_at_least_so_many_samples():
    samples = np.array([[0.0, 0.0], [0.0, 1.0], [10.0, 0.0]])
    assert [modes_covered(samples, means=MEANS, std=1.0, at_least=n) for n in (1, 2, 3)] == [2, 1, 0]


def test_a_sample_counts_for_its_nearest_mode_only():
    means = np.array([[0.0], [1.0]])
    assert modes_covered(np.array([[0.4]]), means=means, std=1.0) == 1
    assert nearest_mode(np.array([[0.5]]), means)[0] == 0


def test_the_modal_variance_is_the_mean_over_modes_that_have_one():
    samples = np.array([[-1.0, 0.0], [1.0, 0.0], [10.0, -2.0], [10.0, 2.0], [0.0, 10.0]])
    assert average_modal_variance(samples, means=MEANS) == pytest.approx((2 + 8) / 2)


def test_strays_count_as_variance_of_their_nearest_mode():
    samples = np.array([[0.0, 0.0], [-100.0, 0.0]])
    assert average_modal_variance(samples, means=MEANS) == pytest.approx(5000)


def test_modes_collapsed_to_their_means_have_variance_0():
    assert average_modal_variance(np.repeat(MEANS, 5, axis=0), means=MEANS) == 0


def test_no_mode_with_two_samples_has_no_variance():
    assert math.isnan(average_modal_variance(MEANS, means=MEANS))


def test_real_samples_of_25_modes_cover_them_with_their_own_variance():
    """The modal variance is, near enough, χ² of 2(n - 25) degrees around 2·0.05²: 6 standard deviations
    are crossed once in 5e8 runs. Each mode misses all 2,000 samples with a chance of 1e-36."""
    reference, n = GMM25Reference(GMM25()), 2000
    values = reference.draw(n, Stream.of(0, "real")).values
    found = measured(Modes(), values, reference)
    assert found["modes"] == 25
    assert found["modal_variance"] == pytest.approx(2 * 0.05**2, rel=6 / math.sqrt(n))


def test_lost_modes_are_seen_and_do_not_count_as_variance():
    reference = GMM25Reference(GMM25())
    left = np.repeat(np.asarray(reference.means)[:7], 3, axis=0)
    assert measured(Modes(), left, reference) == pytest.approx({"modes": 7, "modal_variance": 0}, abs=1e-12)


def test_a_reference_without_modes_has_neither():
    found = measured(Modes(), np.zeros((5, 2)), GaussianReference(Gaussian(d=2)))
    assert list(found) == ["modes", "modal_variance"]
    assert all(math.isnan(value) for value in found.values())


def test_samples_of_another_dimension_are_refused():
    with pytest.raises(ValueError, match=r"expected samples and means of the same d, got 3 and 2, try"):
        modes_covered(np.zeros((4, 3)), means=MEANS, std=1.0)
