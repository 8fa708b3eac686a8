"""Numbers of which each seed has one, and claims about them.

Differences are taken seed by seed: cells of one seed share random numbers. With several seeds a number counts
by its mean and standard error over them, on Student's t, so that chance alone makes of nothing something that
counts in `LEVEL` of all sweeps, however many seeds there are. One seed has no standard error. What measuring
other samples would change is known all the same, and a number counts from `ALONE` times that on; what another
training would change remains unknown, and the evidence says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from madray.errors import BadInput
from madray.report.claims import Claim
from madray.theory import Estimate
from madray.theory.estimate import Array

LEVEL = 0.01
"""How often chance alone puts a number that is 0 so far to one side that it counts."""

_ROUNDING = 1e-9
"""Standard errors of less than this share of a number are those of equal numbers."""

ALONE = 4.0
"""From how many times the noise of measuring on a number counts that one seed alone has."""


@dataclass(frozen=True)
class PerSeed:
    """A number of each seed.

    Attributes:
        values: shape (seeds,).
        noise: about the standard deviation that measuring other samples of the same models would make.

    >>> first, last = PerSeed(np.array([1.0, 2.0]), 0.3), PerSeed(np.array([4.0, 7.0]), 0.4)
    >>> last - first
    PerSeed(values=array([3., 5.]), noise=0.5)
    """

    values: Array
    noise: float

    def __sub__(self, other: PerSeed) -> PerSeed:
        return PerSeed(self.values - other.values, math.hypot(self.noise, other.noise))

    def __add__(self, other: PerSeed) -> PerSeed:
        return PerSeed(self.values + other.values, math.hypot(self.noise, other.noise))

    def __rmul__(self, factor: float) -> PerSeed:
        return PerSeed(factor * self.values, abs(factor) * self.noise)

    def __truediv__(self, other: PerSeed) -> PerSeed:
        """Ratios; the noise is that of means, to first order. NaN or infinite where `other` is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.values / other.values
            noise = math.hypot(self.noise, ratio.mean() * other.noise) / np.abs(other.values.mean())
        return PerSeed(ratio, float(noise))

    def above(self, bound: float) -> PerSeed:
        """How far above a bound the number is."""
        return PerSeed(self.values - bound, self.noise)

    def below(self, bound: float) -> PerSeed:
        """How far below a bound the number is."""
        return PerSeed(bound - self.values, self.noise)

    @property
    def over_seeds(self) -> Estimate[Array]:
        """Mean and standard error, shape (): the latter is NaN of one seed."""
        return Estimate.over_replicates(self.values)

    @property
    def errors(self) -> float:
        """How many standard errors the mean is above 0; of one seed, how many times the noise.

        Infinite where all seeds agree, to rounding; 0 where they agree on 0; NaN of what is not finite.
        """
        mean = float(self.values.mean())
        if not math.isfinite(mean):
            return math.nan
        error = self.noise if len(self.values) == 1 else float(self.over_seeds.standard_error)
        if error <= _ROUNDING * abs(mean):
            return math.copysign(math.inf, mean) if mean else 0.0
        return mean / error


def counts_from(seeds: int, level: float = LEVEL) -> float:
    """From how many standard errors (of one seed: times the noise) on a number counts.

    >>> round(counts_from(3), 2), counts_from(1)
    (6.96, 4.0)
    """
    return ALONE if seeds == 1 else float(student.isf(level, seeds - 1))


def how_sure(seeds: int) -> str:
    """The rule that decides, in sentences."""
    if seeds == 1:
        return (
            "There is one seed, and so no interval: what another training would change is not known. A "
            f"number counts from {ALONE:g} times on what measuring other samples of the same models would "
            "change: by the binomial for shares, by the real-against-real floor for fid. A claim does not "
            "hold where a number counts as below 0, and is not decided where one counts as neither."
        )
    return (
        f"Differences are taken seed by seed, over {seeds} seeds. One counts from {counts_from(seeds):.3g} "
        f"standard errors on, which chance alone makes of nothing in {100 * LEVEL:g} % of sweeps; so far "
        f"reach the intervals in brackets, which are of {100 - 200 * LEVEL:g} %. A claim about several "
        "numbers holds where each interval is above 0, does not hold where one is below 0, and is not "
        "decided otherwise."
    )


def all_above(text: str, numbers: Sequence[PerSeed]) -> Claim:
    """The claim that all numbers are above 0; it is not decided where the least sure may be on either side.

    >>> all_above("it rises", [PerSeed(np.array([1.9, 2.0, 2.1]), 0.1)]).evidence
    'it is 2 (1.6 to 2.4), 34.6 standard errors above 0'
    """
    _some(text, numbers)
    errors = [number.errors for number in numbers]
    # A NaN counts as the least: nothing is claimed of it.
    worst = min(range(len(numbers)), key=lambda i: -math.inf if math.isnan(errors[i]) else errors[i])
    least, seeds = numbers[worst], len(numbers[worst].values)
    among = f"the least sure of {len(numbers)} is" if len(numbers) > 1 else "it is"
    told = "for all seeds" if _all_zero(least) else _apart(errors[worst], seeds)
    evidence = f"{among} {least.values.mean():.3g}{_interval(least)}, {told}"
    return Claim(text, _verdict(least), evidence)


def none_differs(text: str, differences: Sequence[PerSeed]) -> Claim:
    """The claim that no difference can be seen; small ones may be there.

    Chance alone contradicts it in at most `LEVEL` of all sweeps, however many differences there are.
    """
    _some(text, differences)
    seeds = len(differences[0].values)
    bound = counts_from(seeds, LEVEL / (2 * len(differences)))
    largest = max((abs(each.errors) for each in differences), key=lambda e: math.inf if math.isnan(e) else e)
    evidence = (
        f"the largest of {len(differences)} is {largest:.3g} {_unit(seeds)} from 0; {bound:.3g} would count"
    )
    unknown = any(math.isnan(each.errors) for each in differences)
    return Claim(text, None if unknown else bool(largest < bound), evidence)


def _verdict(number: PerSeed) -> bool | None:
    """Whether a number is above 0; None where it counts neither as above nor as below."""
    errors, bound = number.errors, counts_from(len(number.values))
    if errors >= bound:
        return True
    return False if errors <= -bound or _all_zero(number) else None


def _all_zero(number: PerSeed) -> bool:
    """Whether several seeds agree on 0."""
    return len(number.values) > 1 and not number.values.any()


def _interval(number: PerSeed) -> str:
    """Within which a number is, by its seeds; none of what is not finite, or the same for all of them."""
    seeds = len(number.values)
    if seeds == 1:
        return " (one seed: no interval)"
    if not math.isfinite(number.errors) or _all_zero(number):
        return ""
    mean, reach = number.values.mean(), counts_from(seeds) * float(number.over_seeds.standard_error)
    return f" ({mean - reach:.3g} to {mean + reach:.3g})"


def _apart(errors: float, seeds: int) -> str:
    """How far a number is above 0, or below."""
    side = "above" if errors >= 0 else "below"
    if math.isinf(errors):
        return f"{side} 0 by as much for all seeds"
    return f"{abs(errors):.3g} {_unit(seeds)} {side} 0"


def _unit(seeds: int) -> str:
    return "times the noise of measuring" if seeds == 1 else "standard errors"


def _some(text: str, numbers: Sequence[PerSeed]) -> None:
    if not numbers:
        raise BadInput(f"expected numbers to judge by whether {text}, got none; the sweep has too few cells")
