"""What a metric may look at: samples, features, the fitted model and the reference."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from madray.samples import SampleSet
from madray.streams import EVALUATION

T = TypeVar("T")


@dataclass(frozen=True)
class RealSide:
    """The real half of every comparison of a sweep: made once (`make_real_side`), stored, and shared.

    Attributes:
        features: of n_eval real samples, shape (n, d), float32.
        mean: shape (d,), float64.
        root: L with L Lᵀ the unbiased covariance of the features, shape (d, d), float64.
    """

    features: NDArray[np.float32]
    mean: NDArray[np.float64]
    root: NDArray[np.float64]
    _found: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, name: Hashable, find: Callable[[], T]) -> T:
        """What a metric finds out about the real features alone, and need not find again each generation.

        Args:
            name: all that it depends on beside the features.
        """
        if name not in self._found:
            self._found[name] = find()
        found: T = self._found[name]
        return found


@dataclass(frozen=True)
class Evidence:
    """What is known of one generation at one λ.

    Attributes:
        generator: the fitted model (a `madray.generators.protocol.Generator`); None for a floor, and where
            the metric does not say that it needs one.
        reference: P_r (a `madray.references.protocol.Reference`).
        bias: λ of the samples.
        samples: n_eval samples, or None where no metric asked for any.
        features: of these samples, shape (n, d), float32, or None.
        real: the real side, or None where no metric asked for it.
    """

    generator: Any
    reference: Any
    bias: float
    samples: SampleSet | None = None
    features: NDArray[np.float32] | None = None
    real: RealSide | None = None

    def some_samples(self) -> SampleSet:
        """The samples, for metrics that look at them.

        Raises: ValueError, if there are none.
        """
        if self.samples is None:
            raise ValueError("expected evidence with samples, got none, try needs_samples in the settings")
        return self.samples

    def real_samples(self) -> SampleSet:
        """The n_eval real samples of the real side, for metrics that need more than their features.

        Raises: ValueError, if there is no real side, or no reference to draw them from.
        """
        if self.real is None or self.reference is None:
            missing = (
                "a real side, got none, try needs_real = True in the metric's settings"
                if self.real is None
                else "a reference, got none, try the one that the samples imitate"
            )
            raise ValueError(f"expected evidence with {missing}")
        drawn: SampleSet = self.reference.draw(len(self.real.features), EVALUATION)
        return drawn

    def both_sides(self) -> tuple[NDArray[np.float32], RealSide]:
        """The samples' features and the real side, for metrics that compare them.

        Raises: ValueError, if one of them is missing.
        """
        if self.features is None or self.real is None:
            missing = "features" if self.features is None else "a real side"
            raise ValueError(
                f"expected evidence with {missing}, got none, try needs_real = True in the metric's settings"
            )
        return self.features, self.real
