"""The classification accuracy score: learned from the samples and their labels, asked of real images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from handwritten import handwritten

from madray.metrics import Evidence
from madray.metrics.measure import measure
from madray.metrics.real_side import make_real_side, measure_floor
from madray.references.digits import read_digits
from madray.references.finite import FiniteReference
from madray.samples import SampleSet
from madray.spec.metrics import ClassificationAccuracyScore
from madray.spec.references import Digits
from madray.streams import Stream

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = read_digits(Digits())
REFERENCE = FiniteReference(SMALL)
N = 200
SIDE = make_real_side(REFERENCE.draw(N, Stream.of("evaluation")).flat())
SAMPLES = REFERENCE.draw(N, Stream.of("generated"))


def score(samples: SampleSet, reference: FiniteReference = REFERENCE, **settings: float) -> float:
    evidence = Evidence(generator=None, reference=reference, bias=1.0, samples=samples, real=SIDE)
    told = ClassificationAccuracyScore(epochs=15).model_copy(update=settings)
    return measure(told, evidence)["classification_accuracy_score"]


def with_labels(labels: np.ndarray) -> SampleSet:
    return SampleSet(SAMPLES.values, labels.astype(np.int64), 10)


@pytest.fixture(scope="module")
def usual(one_thread: None) -> float:
    """The score of samples that are as good as real."""
    return score(SAMPLES)


def test_samples_like_the_real_ones_teach_to_tell_these_apart(usual: float) -> None:
    assert usual > 0.75


def test_the_score_is_the_same_each_time(usual: float) -> None:
    assert score(SAMPLES) == usual


def test_shuffled_labels_teach_nothing() -> None:
    assert SAMPLES.labels is not None
    assert score(with_labels(Stream.of("shuffled").numpy().permutation(SAMPLES.labels))) < 0.35


def test_what_samples_lack_is_not_learned() -> None:
    assert SAMPLES.labels is not None
    real = REFERENCE.draw(N, Stream.of("evaluation")).labels
    assert real is not None
    half = score(SAMPLES.take(np.flatnonzero(SAMPLES.labels < 5)))
    assert half <= np.mean(real < 5)
    assert score(SAMPLES.take(np.flatnonzero(SAMPLES.labels == 3))) == np.mean(real == 3)


def test_longer_training_learns_more(usual: float) -> None:
    assert score(SAMPLES, epochs=2) < usual


def test_the_floor_is_learned_from_other_real_samples() -> None:
    both = REFERENCE.draw(2 * N, Stream.of("evaluation"))
    other = both.take(np.arange(N, 2 * N))
    settings = ClassificationAccuracyScore(epochs=15)
    [floor] = measure_floor(settings, REFERENCE, SIDE, other, other.flat()).values()
    assert floor == score(other) > 0.75


def test_it_works_on_images_of_the_mnists_shape() -> None:
    reference = FiniteReference(handwritten(500))
    assert score(reference.draw(N, Stream.of("generated")), reference) > 0.75


def test_without_labels_on_both_sides_there_is_no_number() -> None:
    unlabelled = FiniteReference(SampleSet(SMALL.values))
    assert math.isnan(score(SampleSet(SAMPLES.values)))
    assert math.isnan(score(SAMPLES, unlabelled))


def test_of_vectors_there_is_no_number() -> None:
    assert math.isnan(score(SampleSet(SAMPLES.flat(), SAMPLES.labels, 10)))


def test_evidence_without_a_real_side_is_refused() -> None:
    evidence = Evidence(generator=None, reference=REFERENCE, bias=1.0, samples=SAMPLES)
    with pytest.raises(ValueError, match=r"expected evidence with a real side, got none, try needs_real"):
        measure(ClassificationAccuracyScore(), evidence)
