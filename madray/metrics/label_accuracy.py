"""Whether conditional samples are what their labels say, by a classifier of real digits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from madray.metrics.evidence import Evidence
from madray.metrics.lenet import accuracy
from madray.metrics.mnist_lenet import mnist_lenet
from madray.spec.metrics import check_shape

if TYPE_CHECKING:
    from madray.spec import metrics as spec


def measure_label_accuracy(settings: spec.LabelAccuracy, evidence: Evidence) -> dict[str, float]:
    """The share of samples that the LeNet-5 of the MNIST takes for the digit that their label says.

    Of the real images, those that the network was trained on score a little higher than others (`lenet5.json`
    has both numbers), and so does the floor of a reference that is made of them.

    NaN for samples without labels, and for those that are no images.

    Raises: BadInput, if they are images, but not of 28 × 28 pixels in one channel.
    """
    samples = evidence.some_samples()
    if samples.labels is None or not samples.is_image:
        return {"label_accuracy": math.nan}
    check_shape(settings, samples.shape)
    return {"label_accuracy": accuracy(mnist_lenet(), samples)}
