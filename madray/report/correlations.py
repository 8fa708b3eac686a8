"""Rank correlations of which each seed has one, their intervals, and claims about them.

Correlations near 1 crowd at their bound, where Student's t on them reaches past it. Fisher's z = arctanh r
has no bound: means, intervals and verdicts are made of z, and told as r = tanh z.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import spearmanr

from madray.report.claims import Claim
from madray.report.per_seed import PerSeed, all_above, counts_from
from madray.theory.estimate import Array

FISHER = (
    "Means and intervals of rank correlations are those of Fisher's z = arctanh r, transformed back; where n "
    "numbers are ranked, r = ±1 counts as ±(1 − 6/(n³ − n)), half as far from 1 as a swap of two neighbours."
)
"""What has to be known to read `RankCorrelation.told`."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of two numbers, one for each seed.

    Attributes:
        values: shape (seeds,); NaN where one of the two never changes, and so ranks nothing.
        ranked: how many numbers were ranked, shape (seeds,).

    >>> rising = RankCorrelation.of([(np.arange(20), np.arange(20) ** 2)] * 2)
    >>> rising.values
    array([1., 1.])
    >>> rising.told()
    '0.999 for all 2 seeds'
    """

    values: Array
    ranked: Array

    @staticmethod
    def of(pairs: Iterable[tuple[Array, Array]]) -> RankCorrelation:
        """Of the two numbers of each seed, each of shape (n,); n may differ between seeds."""
        found = [(_spearman(*map(np.asarray, pair)), len(pair[0])) for pair in pairs]
        values, ranked = zip(*found, strict=True)
        return RankCorrelation(np.array(values), np.array(ranked, dtype=float))

    @property
    def per_seed(self) -> PerSeed:
        """The correlations; what measuring other samples would change of them is not known."""
        return PerSeed(self.values, noise=math.nan)

    @property
    def fisher(self) -> PerSeed:
        """z = arctanh r, with r = ±1 half as far from there as the next correlation without ties.

        A swap of two neighbours among n makes 1 of Σ d² = 2 less: r = 1 − 12/(n³ − n). Of two numbers r is
        always ±1, and z is 0: they tell nothing.
        """
        largest = 1 - 6 / (self.ranked**3 - self.ranked)
        return PerSeed(np.arctanh(np.clip(self.values, -largest, largest)), noise=math.nan)

    def told(self) -> str:
        """Its mean and its interval, as far as numbers count (`per_seed.LEVEL`)."""
        z = self.fisher
        seeds, mean = len(z.values), z.values.mean()
        if seeds == 1:
            return f"{_as_r(mean)} of one seed, which has no interval"
        if not np.ptp(z.values):
            return f"{_as_r(mean)} for all {seeds} seeds"
        reach = counts_from(seeds) * float(z.over_seeds.standard_error)
        return f"{_as_r(mean)} ({_as_r(mean - reach)} to {_as_r(mean + reach)})"


def beyond(text: str, correlation: RankCorrelation, bound: float) -> Claim:
    """The claim that a correlation is above a positive bound, or below a negative one.

    It is not decided of one seed: what is known of one seed is what measuring changes, not its correlation.
    """
    side = math.copysign(1.0, bound)
    above = (side * correlation.fisher).above(math.atanh(abs(bound)))
    return replace(all_above(text, [above]), evidence=correlation.told())


def _as_r(z: float) -> str:
    """tanh z to three digits; more where these would round it to ±1, which it never is.

    >>> _as_r(1.0), _as_r(-5.0)
    ('0.762', '-0.99991')
    """
    r, told = math.tanh(z), f"{math.tanh(z):.3g}"
    if abs(float(told)) != 1 or abs(r) == 1:
        return told
    return f"{math.copysign(1 - float(f'{1 - abs(r):.1g}'), r):.15g}"


def _spearman(one: Array, other: Array) -> float:
    if len(one) < 2 or not np.ptp(one) or not np.ptp(other):
        return math.nan
    return float(spearmanr(one, other).statistic)
