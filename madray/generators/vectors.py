"""Between samples and the flat vectors that vector models are fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madray.samples import SampleSet


@dataclass(frozen=True)
class Frame:
    """What `SampleSet.flat` took away: the shape of a sample, and whether it is an image.

    >>> frame = Frame(shape=(1, 1, 3), image=True)
    >>> frame.samples(np.float32([[-0.2, 0.5, 1.1]])).values
    array([[[[  0, 128, 255]]]], dtype=uint8)
    """

    shape: tuple[int, ...]
    image: bool

    @staticmethod
    def around(samples: SampleSet) -> Frame:
        """The frame of these samples."""
        return Frame(samples.shape, samples.is_image)

    @staticmethod
    def read(told: Mapping[str, Any]) -> Frame:
        """The frame that `told` describes."""
        return Frame(tuple(told["shape"]), bool(told["image"]))

    def told(self) -> dict[str, Any]:
        """The frame as JSON."""
        return {"shape": list(self.shape), "image": self.image}

    def samples(
        self,
        points: NDArray[np.float32],
        labels: NDArray[np.int64] | None = None,
        classes: int | None = None,
    ) -> SampleSet:
        """Vectors, shape (n, d), as samples; those of images are times 255, rounded and clipped to bytes."""
        if self.image:
            bytes_ = np.rint(points * np.float32(255)).clip(0, 255).astype(np.uint8)
            return SampleSet(bytes_.reshape(-1, *self.shape), labels, classes)
        return SampleSet(points.reshape(-1, *self.shape).astype(np.float32, copy=False), labels, classes)
