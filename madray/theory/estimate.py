"""A number that was simulated, with its standard error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Number = TypeVar("Number", float, Array)


@dataclass(frozen=True)
class Estimate(Generic[Number]):
    """A mean and its standard error: two floats, or two arrays of one shape.

    The standard error is NaN where one replicate alone was drawn.

    >>> Estimate.over_replicates(np.array([[1.0], [3.0]]))
    Estimate(mean=array([2.]), standard_error=array([1.]))
    """

    mean: Number
    standard_error: Number

    @staticmethod
    def over_replicates(values: Array) -> Estimate[Array]:
        """The mean over the first axis, and std / √replicates with n − 1 in the std's denominator."""
        replicates = len(values)
        if replicates < 2:
            return Estimate(values.mean(axis=0), np.full(values.shape[1:], np.nan))
        return Estimate(values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(replicates))
