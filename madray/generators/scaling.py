"""Between samples and the centred numbers, about as large as 1, that a network is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madray.samples import SampleSet

Array32 = NDArray[np.float32]


@dataclass(frozen=True)
class Scale:
    """z = (x − mean) / unit for each coordinate of a sample x, and back.

    Attributes:
        mean: of the training set, shape of a sample, float32.
        unit: 127.5 for bytes, which spans [−1, 1] before the centring; else the one standard deviation of all
            coordinates, and 0 where nothing varies, so that everything comes back as the mean.
        image: whether samples are bytes.

    >>> samples = SampleSet(np.float32([[1, 5], [3, 5]]))
    >>> scale = Scale.of(samples)
    >>> scale.outwards(scale.inwards(samples)).tolist()
    [[1.0, 5.0], [3.0, 5.0]]
    >>> Scale.of(samples.head(1)).outwards(np.ones((2, 2), np.float32)).tolist()
    [[1.0, 5.0], [1.0, 5.0]]
    """

    mean: Array32
    unit: float
    image: bool

    @staticmethod
    def of(samples: SampleSet) -> Scale:
        """The scale of a training set."""
        mean = samples.values.mean(axis=0, dtype=np.float64)
        unit = 127.5
        if not samples.is_image:
            unit = float(np.sqrt(np.mean((samples.values - mean) ** 2)))
        return Scale(mean.astype(np.float32), unit, samples.is_image)

    @staticmethod
    def read(arrays: Mapping[str, NDArray[Any]], told: Mapping[str, Any]) -> Scale:
        """The scale that `told` and `arrays["mean"]` describe."""
        return Scale(arrays["mean"], float(told["unit"]), bool(told["image"]))

    def told(self) -> dict[str, Any]:
        """All but the mean, as JSON."""
        return {"unit": self.unit, "image": self.image}

    def spread(self, samples: SampleSet) -> Array32:
        """The standard deviation of each coordinate of z, shape of a sample."""
        std: NDArray[np.float64] = samples.values.std(axis=0, dtype=np.float64)
        return (std / (self.unit or 1)).astype(np.float32)

    def inwards(self, samples: SampleSet) -> Array32:
        """z of each sample, shape (n, *shape)."""
        return (samples.values - self.mean) / np.float32(self.unit or 1)

    def outwards(self, z: Array32) -> NDArray[Any]:
        """The values of which z was made: float32, or bytes, rounded and clipped."""
        values: Array32 = z * np.float32(self.unit) + self.mean
        return np.rint(values).clip(0, 255).astype(np.uint8) if self.image else values

    def bounds(self) -> tuple[Array32, Array32] | None:
        """The least and the largest z of an image, one of each coordinate; None where numbers are free."""
        if not self.image:
            return None
        unit = np.float32(self.unit)
        return (0 - self.mean) / unit, (255 - self.mean) / unit
