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
        unit: 127.5 for bytes, which spans [−1, 1] before the centring; else the standard deviation of each
            coordinate, shape of a sample, float32, and 0 of one that never varies: it comes back as the mean.
        image: whether samples are bytes.

    >>> samples = SampleSet(np.float32([[1, 5], [3, 5]]))
    >>> scale = Scale.of(samples)
    >>> scale.outwards(scale.inwards(samples)).tolist()
    [[1.0, 5.0], [3.0, 5.0]]
    >>> scale.outwards(np.ones((1, 2), np.float32)).tolist()
    [[3.0, 5.0]]
    """

    mean: Array32
    unit: float | Array32
    image: bool

    @staticmethod
    def of(samples: SampleSet) -> Scale:
        """The scale of a training set."""
        mean = samples.values.mean(axis=0, dtype=np.float64)
        if samples.is_image:
            return Scale(mean.astype(np.float32), 127.5, True)
        # Of equal float32 numbers the float64 mean is exact, and so their deviation is 0, not nearly 0.
        unit = samples.values.std(axis=0, dtype=np.float64)
        return Scale(mean.astype(np.float32), unit.astype(np.float32), False)

    @staticmethod
    def read(arrays: Mapping[str, NDArray[Any]], told: Mapping[str, Any]) -> Scale:
        """The scale that `told` and `arrays["mean"]` describe."""
        image = bool(told["image"])
        return Scale(
            arrays["mean"], float(told["unit"]) if image else np.asarray(told["unit"], np.float32), image
        )

    def told(self) -> dict[str, Any]:
        """All but the mean, as JSON."""
        return {"unit": self.unit if self.image else np.asarray(self.unit).tolist(), "image": self.image}

    @property
    def divisor(self) -> float | Array32:
        """The unit, and 1 where it is 0: centred numbers may be divided by it."""
        if isinstance(self.unit, float):
            return self.unit
        return np.where(self.unit > 0, self.unit, np.float32(1))

    def spread(self, samples: SampleSet) -> Array32:
        """The standard deviation of each coordinate of z, shape of a sample."""
        std: NDArray[np.float64] = samples.values.std(axis=0, dtype=np.float64)
        return (std / self.divisor).astype(np.float32)

    def inwards(self, samples: SampleSet) -> Array32:
        """z of each sample, shape (n, *shape)."""
        return (samples.values - self.mean) / np.float32(self.divisor)

    def outwards(self, z: Array32) -> NDArray[Any]:
        """The values of which z was made: float32, or bytes, rounded and clipped.

        Raises: RuntimeError, if pixels are not finite: of those any byte could be made.
        """
        values: Array32 = z * np.float32(self.unit) + self.mean
        if not self.image:
            return values
        if not np.isfinite(values).all():
            spoilt = int((~np.isfinite(values)).any(axis=tuple(range(1, values.ndim))).sum())
            raise RuntimeError(
                f"expected finite pixels, got others in {spoilt} of {len(values)} images; "
                "try a larger λ, or a smaller learning_rate"
            )
        return np.rint(values).clip(0, 255).astype(np.uint8)

    def bounds(self) -> tuple[Array32, Array32] | None:
        """The least and the largest z of an image, one of each coordinate; None where numbers are free."""
        if not self.image:
            return None
        unit = np.float32(self.unit)
        return (0 - self.mean) / unit, (255 - self.mean) / unit
