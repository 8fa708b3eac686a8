"""Digits of the MNIST's shape that need no download: scikit-learn's, enlarged threefold, with an empty edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from madray.references.digits import read_digits
from madray.samples import SampleSet
from madray.spec.references import Digits


def handwritten(n: int, *, first: int = 0) -> SampleSet:
    """n images, 28 × 28, with their labels."""
    small = read_digits(Digits()).take(np.arange(first, first + n))
    large = small.values.repeat(3, axis=2).repeat(3, axis=3)
    return SampleSet(np.pad(large, ((0, 0), (0, 0), (2, 2), (2, 2))), small.labels, small.classes)


def write_images(folder: Path, samples: SampleSet) -> None:
    """Labelled grey images as files, each in the folder of its label."""
    assert samples.labels is not None
    for place, (image, label) in enumerate(zip(samples.values[:, 0], samples.labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{place}.png")
