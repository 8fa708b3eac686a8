"""Label accuracy: samples that are what their labels say, that are not, and that have none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from handwritten import handwritten

from madray.errors import BadInput
from madray.metrics import Evidence
from madray.metrics.measure import measure
from madray.samples import SampleSet
from madray.spec.metrics import LabelAccuracy

pytestmark = pytest.mark.usefixtures("one_thread")

SAMPLES = handwritten(300)


def found(samples: SampleSet) -> float:
    evidence = Evidence(generator=None, reference=None, bias=1.0, samples=samples)
    return measure(LabelAccuracy(), evidence)["label_accuracy"]


def with_labels(labels: np.ndarray) -> SampleSet:
    return SampleSet(SAMPLES.values, labels.astype(np.int64), 10)


def test_right_labels_are_found_and_wrong_ones_are_not() -> None:
    assert SAMPLES.labels is not None
    right = found(SAMPLES)
    assert right > 0.8  # these are digits of another data set, enlarged
    wrong = found(with_labels((SAMPLES.labels + 1) % 10))
    assert wrong < 0.1
    half = np.where(np.arange(len(SAMPLES)) % 2, SAMPLES.labels, (SAMPLES.labels + 1) % 10)
    assert wrong < found(with_labels(half)) < right


def test_without_labels_there_is_no_number() -> None:
    assert math.isnan(found(SampleSet(SAMPLES.values)))


def test_of_vectors_there_is_no_number() -> None:
    assert math.isnan(found(SampleSet(np.zeros((2, 784), np.float32), np.zeros(2, np.int64), 10)))


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(
        BadInput, match=r"expected samples of shape \(1, 28, 28\) for label_accuracy, got \(1, 8, 8\)"
    ):
        found(SampleSet(np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2, np.int64), 10))
