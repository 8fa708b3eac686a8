"""The handwritten digits that scikit-learn carries: a real image set that needs no download."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from madray.errors import BadInput
from madray.samples import SampleSet
from madray.spec.references import Digits

CONTENT = "a19cb3d96bba7deace8ee5a513a6eb7bad0403d528f00bf4d351b6a7a55baa91"
"""The SHA-256 of the images as bytes in [0, 255], and then of the labels as bytes."""


def read_digits(settings: Digits, data: Path | None = None) -> SampleSet:
    """The 1,797 images of digits, 8 × 8, with their labels.

    Values are uint8 of shape (1797, 1, 8, 8): scikit-learn's 0 … 16, times 255/16, rounded to the
    nearest (8, at 127.5, to 128). Labels are int64 in [0, 10). `data` is not needed.

    Raises: BadInput, if scikit-learn's copy is not the one that these results are named after.

    Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), the test part.

    >>> digits = read_digits(Digits())
    >>> len(digits), digits.shape, digits.classes
    (1797, (1, 8, 8), 10)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(np.asarray(bunch.images)[:, None] * (255 / 16)).astype(np.uint8)
    labels = np.asarray(bunch.target, np.int64)
    content = hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    if content != CONTENT:
        raise BadInput(
            f"expected scikit-learn's digits with the digest {CONTENT[:12]}…, got {content[:12]}…, "
            "try another version of scikit-learn"
        )
    return SampleSet(images, labels, 10)
