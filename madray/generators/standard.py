"""Between vectors and their coordinates that vary, each with mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Standard:
    """z = (x − mean) / unit for the coordinates that vary in a training set, and back.

    Coordinates that never vary are left out of z, and come back as they were.

    Attributes:
        mean: of the training set, shape (d,), float64.
        unit: standard deviations, shape (d,), float64; 0 of a coordinate that never varies.

    >>> points = np.float32([[1, 5], [3, 5]])
    >>> standard = Standard.of(points)
    >>> standard.inwards(points).tolist()
    [[-1.0], [1.0]]
    >>> standard.outwards(standard.inwards(points)).tolist()
    [[1.0, 5.0], [3.0, 5.0]]
    """

    mean: Array
    unit: Array

    @staticmethod
    def of(points: NDArray[np.float32]) -> Standard:
        """Of a training set, shape (n, d)."""
        # Of equal float32 numbers the float64 mean is exact, and so their deviation is 0, not nearly 0.
        return Standard(points.mean(axis=0, dtype=np.float64), points.std(axis=0, dtype=np.float64))

    @staticmethod
    def in_one_unit(points: NDArray[np.float32]) -> Standard:
        """Of a training set, with one unit for all coordinates that vary, so that spheres stay spheres.

        >>> Standard.in_one_unit(np.float32([[1, 5, 2], [3, 5, 16]])).unit.tolist()
        [5.0, 0.0, 5.0]
        """
        own = Standard.of(points)
        varies = own.unit > 0
        unit = np.sqrt(np.mean(np.square(own.unit), where=varies)) if varies.any() else 0.0
        return Standard(own.mean, np.where(varies, unit, 0.0))

    @staticmethod
    def read(arrays: Mapping[str, NDArray[Any]]) -> Standard:
        """The one that these arrays hold."""
        return Standard(arrays["mean"], arrays["unit"])

    def arrays(self) -> dict[str, Array]:
        """What `read` needs."""
        return {"mean": self.mean, "unit": self.unit}

    @property
    def varying(self) -> int:
        """How many coordinates vary."""
        return int(np.count_nonzero(self.unit))

    @property
    def log_volume(self) -> float:
        """Σ log unit over the coordinates that vary: log |det ∂x/∂z|."""
        return float(np.log(self.unit[self.unit > 0]).sum())

    def inwards(self, points: NDArray[np.float32]) -> Array:
        """z of vectors, shape (n, `varying`)."""
        varies = self.unit > 0
        z: Array = (points[:, varies] - self.mean[varies]) / self.unit[varies]
        return z

    def outwards(self, z: Array) -> NDArray[np.float32]:
        """The vectors of which z was made, shape (n, d)."""
        points = np.tile(self.mean, (len(z), 1))
        varies = self.unit > 0
        points[:, varies] += z * self.unit[varies]
        return points.astype(np.float32)
