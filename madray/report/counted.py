"""Shares of samples that were counted, of which each seed has one, and claims about their differences.

In a thin tail seeds agree by chance: where none of them has a sample their standard error is 0, though the
share is not known so well. So it counts for no less than what counting makes alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from madray.report.claims import Claim
from madray.report.per_seed import PerSeed, all_above
from madray.theory import Estimate
from madray.theory.estimate import Array


@dataclass(frozen=True)
class Counted(PerSeed):
    """A number made of shares: its standard error is that over seeds, but no less than noise / √seeds.

    The noise is what counting other samples would change, independently for each seed.

    >>> Counted(np.zeros(4), noise=0.5).over_seeds.standard_error
    array(0.25)
    >>> Counted(np.array([1.0, 3.0]), noise=0.5).over_seeds.standard_error
    array(1.)
    """

    @property
    def over_seeds(self) -> Estimate[Array]:
        found = super().over_seeds
        least = self.noise / math.sqrt(len(self.values))
        return Estimate(found.mean, np.asarray(np.maximum(found.standard_error, least)))


def counting_noise(share: float, n: int) -> float:
    """The standard deviation of a share that is counted among n samples: the binomial's.

    4 samples are made up, so that it is not 0 where none was counted (Agresti and Coull 1998).

    >>> counting_noise(0.5, 100), round(counting_noise(0.0, 96), 4)
    (0.05, 0.0143)
    """
    likely = (share * n + 2) / (n + 4)
    return math.sqrt(likely * (1 - likely) / n)


def share(values: Array, n: int) -> PerSeed:
    """Shares that were counted among n samples for each seed.

    Of a share that is known in closed form, give it for each seed: its noise then is what counting as many
    samples of it would make, so that a difference has to stand out from what no difference looks like.
    """
    return PerSeed(values, counting_noise(float(values.mean()), n))


def squared_error(found: PerSeed, closed: float) -> PerSeed:
    """(share − closed form)² for each seed.

    Counting with noise s makes an error e into e + s ε, ε ~ N(0, 1), whose square has variance
    4 e² s² + 2 s⁴. It also adds s² to its mean, nearly the same to two shares that are about as large.

    >>> squared_error(PerSeed(np.array([0.1, 0.5]), noise=0.0), 0.2).values.round(3)
    array([0.01, 0.09])
    """
    squares = (found.values - closed) ** 2
    noise = math.sqrt(4 * float(squares.mean()) * found.noise**2 + 2 * found.noise**4)
    return PerSeed(squares, noise)


def above_by_counting(text: str, number: PerSeed) -> Claim:
    """The claim that a number made of shares is above 0; see `Counted`.

    >>> above_by_counting("it is less", share(np.full(4, 0.3), 100) - share(np.zeros(4), 100)).evidence
    'it is 0.3 (0.191 to 0.409), 12.5 standard errors above 0'
    """
    return all_above(text, [Counted(number.values, number.noise)])
