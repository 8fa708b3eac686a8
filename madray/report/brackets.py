"""Numbers that are known to lie between two ends, such as the boundaries of theory, and claims about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from madray.report.claims import Claim
from madray.theory.estimate import Array


@dataclass(frozen=True)
class Brackets:
    """Values, each between a low and a high end; shape (k,). A value is infinite where there is no bound."""

    value: Array
    low: Array
    high: Array

    @staticmethod
    def of(frame: pd.DataFrame, name: str) -> Brackets:
        """From the columns `name`, `name_low` and `name_high`.

        >>> Brackets.of(pd.DataFrame({"n_s": [2.0], "n_s_low": [1.0], "n_s_high": [3.0]}), "n_s").high
        array([3.])
        """
        return Brackets(*(frame[name + end].to_numpy(dtype=float) for end in ("", "_low", "_high")))

    def over(self, x: Array) -> Brackets:
        """The values divided by x > 0."""
        return Brackets(self.value / x, self.low / x, self.high / x)


def all_rise(text: str, series: Iterable[Brackets]) -> Claim:
    """The claim that in each series every value is above the one before: brackets do not touch.

    A value after an infinite one cannot be; what is infinite is above all that is not.

    >>> ends = np.array([[1.0, 2.0, 8.0], [0.9, 1.8, 7.0], [1.1, 2.2, 9.0]])
    >>> all_rise("it rises", [Brackets(*ends)]).evidence
    'the least of 2 steps is a factor of 1.64, from 1.1 to 1.8, which are ends of brackets'
    """
    found = [
        (low / high if np.isfinite(high) else 0.0, high, low)
        for each in series
        for high, low in zip(
            each.high[:-1], np.where(np.isinf(each.value), np.inf, each.low)[1:], strict=True
        )
    ]
    least, high, low = min(found)
    evidence = (
        f"the least of {len(found)} steps is a factor of {least:.3g}, "
        f"from {high:.4g} to {low:.4g}, which are ends of brackets"
    )
    return Claim(text, bool(least > 1), evidence)
