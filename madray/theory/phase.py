"""How much synthetic data a loop stands: the largest n_s whose limit is worth n_r real samples or more.

n_s is *admissible* where n_e ≥ n_r, that is where the loop's limit of E W2² is at most E W2² of n_r real
samples alone (section 5.3 of the paper). Let g(n_s) be the logarithm of their ratio. It is 0 for n_s = 0, and
falls at first.

With λ < 1 and ever more synthetic data p → 0, so that c = p(1 + a)/Δ → 0 and m → 0: the model shrinks to the
point 0, and W2² → d. So every large n_s is admissible where n_r real samples alone are worse than d, and the
answer is infinite; otherwise g > 0 in the end, and its last change of sign is looked for. With λ = 1 the
model does not shrink: c → n_r/(n_r − ½) and m → 1/(2n_r − 1), half of what n_r real samples alone give, and
second moments have limits as well; there n_s is doubled until p is small and the closed forms say that
nothing more is to come.

Each sign is that of an estimate at least 4 standard errors away from 0; where it is not, its chains are made
longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from madray.theory.estimate import Estimate
from madray.theory.limits import LimitRun, by_second_moments
from madray.theory.loop import Loop, at_least, check_bias
from madray.theory.real_only import real_only_w2_squared
from madray.theory.second_order import stationary

_SURE = 4.0
"""Standard errors between a sign that counts and 0: one in 16,000 is wrong."""

_FIRST_RTOL = 2e-3
_LAST_RTOL = 1e-5
"""How precisely limits are known at first, and at the most."""

_FINEST = 0.2
"""How much finer than g's slope to second order asks for limits may be told."""

_STEP = 1.05
"""The first step away from a guess."""

_LARGEST = 10**15
_UNBIASED_SHARE = 1 / 64
"""Real share from which on, with λ = 1, the limit of many synthetic samples is taken to be reached."""


@dataclass(frozen=True)
class Boundary:
    """Where admissible amounts of synthetic data end.

    Attributes:
        n_s: the threshold n_s*, between `low` and `high`; infinite where there is none.
        low: an n_s that is admissible (or 0).
        high: an n_s that is not; infinite where all larger ones are admissible.
        evaluations: how many limits were simulated.
    """

    n_s: float
    low: float
    high: float
    evaluations: int


def boundary(d: int, n_r: int, bias: float, *, rtol: float = 0.02, seed: int = 0) -> Boundary:
    """The largest n_s with n_e ≥ n_r in the limit of the fresh-data loop.

    Args:
        d: dimension.
        n_r: fresh real samples of every generation, 2 or more.
        bias: λ in (0, 1].
        rtol: `high` is at most this much larger than `low`, or larger by 1 alone, unless the limits between
            them are too much alike: their standard errors are never made less than 10⁻⁵ of them. Then the
            bracket stays wider; what it says holds all the same.
        seed: the same seed gives the same answer.

    Raises: ValueError, if an argument is out of bounds.

    >>> found = boundary(100, 20, 0.9)  # worse alone than a point: any amount helps
    >>> found.n_s, found.evaluations
    (inf, 0)
    """
    at_least("d", d, 1)
    at_least("n_r", n_r, 2)
    check_bias(bias)
    at_least("seed", seed, 0)
    if not 0 < rtol < 1:
        raise ValueError(f"rtol: expected a number in (0, 1), got {rtol}")
    search = _Search(d, n_r, bias, rtol, seed)
    if bias == 1:
        return search.without_bias()
    if search.worse_than_a_point():
        return Boundary(math.inf, 1.0, math.inf, 0)
    return search.last_change()


class _Search:
    """Signs of g at some n_s, each found once."""

    def __init__(self, d: int, n_r: int, bias: float, rtol: float, seed: int) -> None:
        self._d, self._n_r, self._bias, self._rtol, self._seed = d, n_r, bias, rtol, seed
        self._known: dict[int, tuple[float, float]] = {}
        self._finer = 1.0
        self._evaluations = 0

    def worse_than_a_point(self) -> bool:
        """Whether E W2² of n_r real samples alone is above d, that of a model without any spread."""
        rtol = _FIRST_RTOL
        while True:
            alone = self._alone(rtol)
            if abs(alone.mean - self._d) >= _SURE * alone.standard_error or rtol <= _LAST_RTOL:
                return alone.mean > self._d
            rtol = max(rtol / 4, _LAST_RTOL)

    def last_change(self) -> Boundary:
        """The bracket of g's last change of sign."""
        return self._narrow(*self._around(self._guess()))

    def without_bias(self) -> Boundary:
        """For λ = 1: infinite, unless an inadmissible n_s turns up on the way."""
        admissible, n_s = 0, self._n_r
        while self._sign(n_s) <= 0:
            if self._sign(n_s) < 0:
                admissible = n_s
            if self._n_r / (self._n_r + n_s) <= _UNBIASED_SHARE and self._nothing_to_come(n_s):
                return Boundary(math.inf, float(admissible), math.inf, self._evaluations)
            n_s *= 2
        return self._narrow(admissible, n_s)

    def _nothing_to_come(self, n_s: int) -> bool:
        """Whether the closed forms change less, from here to far larger n_s, than g is away from 0."""
        here, far = (self._second_order(n) for n in (n_s, 1000 * n_s))
        g, error = self._known[n_s]
        return math.log(far / here) < -g - _SURE * error

    def _alone(self, rtol: float) -> Estimate[float]:
        return real_only_w2_squared(self._d, self._n_r, rtol=rtol)

    def _second_order(self, n_s: int) -> float:
        loop = Loop(self._d, self._n_r, n_s, self._bias)
        return by_second_moments(loop, stationary(loop))

    def _guess(self) -> int:
        """The last change of sign to second order, where moments are enough: good for large n_r."""
        alone = self._second_order(0)

        def g(log_n_s: float) -> float:
            return math.log(self._second_order(round(math.exp(log_n_s))) / alone)

        grid = [0.5 * step for step in range(1, 70)]
        signs = [g(each) > 0 for each in grid]
        changes = [place for place in range(1, len(grid)) if signs[place] and not signs[place - 1]]
        if not changes:
            return self._n_r
        place = changes[-1]
        return max(1, round(math.exp(brentq(g, grid[place - 1], grid[place], xtol=1e-3))))

    def _around(self, guess: int) -> tuple[int, int]:
        """An admissible n_s and a larger inadmissible one, from steps that grow away from the guess."""
        low = high = guess
        step = _STEP
        while low > 0 and self._sign(low) >= 0:
            low, step = min(low - 1, math.floor(low / step)), step**2
        step = _STEP
        while self._sign(high) <= 0:
            high, step = max(high + 1, math.ceil(high * step)), min(step**2, 16.0)
            if high > _LARGEST:
                raise ArithmeticError(
                    f"expected an inadmissible n_s below {_LARGEST:g} for d = {self._d}, n_r = {self._n_r}, "
                    f"λ = {self._bias}, found none; n_r real samples alone are about as good as one point"
                )
        between = [n_s for n_s in self._known if low <= n_s <= high]
        low = max([low, *(n_s for n_s in between if self._sign(n_s) < 0)])
        return low, min(n_s for n_s in between if n_s > low and self._sign(n_s) > 0)

    def _narrow(self, low: int, high: int) -> Boundary:
        """A bracket as narrow as asked for: from both sides to where g seems to be 0, and a bit beyond."""
        while high - low > max(1, self._rtol * low):
            middle = self._crossing(low, high)
            margin = max(1, math.floor(0.4 * self._rtol * middle))
            sides = [min(max(side, low + 1), high - 1) for side in (middle - margin, middle + margin)]
            if middle - low < high - middle:  # the side that cuts off more comes first
                sides.reverse()
            tried = next((side for side in sides if side not in self._known and self._sign(side)), None)
            if tried is None:
                if self._finer < _FINEST or self._enough(middle) <= _LAST_RTOL:
                    break
                self._sharpen()
                continue
            low, high = (low, tried) if self._sign(tried) > 0 else (tried, high)
        return Boundary(float(self._crossing(low, high)), float(low), float(high), self._evaluations)

    def _crossing(self, low: int, high: int) -> int:
        """Where g is about 0: on a line in log n_s through all that is known from low to high."""
        if low == 0:
            return high // 2
        points = sorted(n_s for n_s in self._known if low <= n_s <= high)
        logs = np.log(points)
        g, error = np.array([self._known[n_s] for n_s in points]).T
        slope, at_0 = np.polyfit(logs, g, 1, w=1 / np.maximum(error, 0.1 * np.abs(g)))
        share = (-at_0 / slope - logs[0]) / (logs[-1] - logs[0]) if slope > 0 else 0.5
        return round(float(low * (high / low) ** min(max(share, 0.02), 0.98)))

    def _sign(self, n_s: int) -> int:
        """1 where n_s is inadmissible, −1 where it is admissible, 0 too near to the threshold to tell."""
        if n_s == 0:
            return -1
        if n_s not in self._known:
            self._known[n_s] = self._measure(n_s)
            self._evaluations += 1
        g, error = self._known[n_s]
        return 0 if abs(g) < _SURE * error else 1 if g > 0 else -1

    def _enough(self, n_s: int) -> float:
        """A standard error of g that tells an end of the bracket from its middle, by g's slope."""
        beyond = math.ceil(_STEP * n_s)
        rise = math.log(self._second_order(beyond) / self._second_order(n_s))
        steep = rise / math.log(beyond / n_s)
        return max(0.05 * self._rtol * steep * self._finer, _LAST_RTOL)

    def _sharpen(self) -> None:
        """Ask for more where that was not enough: g is less steep than to second order."""
        self._finer /= 3
        self._known = {n_s: known for n_s, known in self._known.items() if self._sign(n_s)}

    def _measure(self, n_s: int) -> tuple[float, float]:
        """g and its standard error."""
        run = LimitRun(Loop(self._d, self._n_r, n_s, self._bias), rtol=_FIRST_RTOL, seed=self._seed)
        rtol, least = _FIRST_RTOL, self._enough(n_s)
        while True:
            run.reach(rtol)
            loop, alone = run.estimate(), self._alone(rtol / 2)
            g = math.log(loop.mean / alone.mean)
            error = math.hypot(loop.standard_error / loop.mean, alone.standard_error / alone.mean)
            if abs(g) >= _SURE * error or rtol <= least:
                return g, error
            rtol = max(rtol / 2, least)
