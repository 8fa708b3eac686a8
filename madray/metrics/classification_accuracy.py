"""The classification accuracy score: what a classifier learns of real images from generated ones alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from madray.metrics.evidence import Evidence
from madray.metrics.lenet import accuracy, train_lenet
from madray.streams import Stream

if TYPE_CHECKING:
    from madray.spec import metrics as spec

STREAM = Stream.of("classification_accuracy_score")
"""Of first weights and orders: the same for every generation, so that scores differ by the samples alone."""


def measure_classification_accuracy(
    settings: spec.ClassificationAccuracyScore, evidence: Evidence
) -> dict[str, float]:
    """The accuracy on n_eval real images of a LeNet-5 trained on the samples with their labels.

    It falls when samples are not what their labels say, and when they lack what real images have: a mode
    that is lost is one that the classifier never saw. Its floor is that of a classifier trained on as many
    other real images. NaN where samples or real ones have no labels, and for those that are no images.

    Source: Ravuri and Vinyals 2019 (arXiv:1905.10887), section 3. They test on a set held out from the model;
    here the real images are those of every other metric, drawn from the reference.
    """
    samples = evidence.some_samples()
    score = math.nan
    if samples.classes is not None and samples.is_image:
        real = evidence.real_samples()
        if real.classes is not None:
            network = train_lenet(
                samples,
                classes=max(samples.classes, real.classes),
                stream=STREAM,
                epochs=settings.epochs,
                batch=settings.batch,
                learning_rate=settings.learning_rate,
            )
            score = accuracy(network, real)
    return {"classification_accuracy_score": score}
