"""E W2² of the fresh-data loop after many generations (Eq. 3 of the paper), to a precision asked for.

W2² to N(0, I) is |μ|² + Σ_i (√ω_i − 1)² over the eigenvalues ω of Σ. In the limit

    E W2² = d m + d c + d − 2 E tr Σ^½

where m and c are closed forms (`madray.theory.first_moments`), and only E tr Σ^½ has to be simulated.
Independent chains are run beyond the generations that remember their beginning, and averaged. Each chain's
average of tr Σ^½ is regressed on its averages of |μ|², tr Σ and tr(Σ − cI)², whose means the closed forms
give exactly: control variates, which leave a thirtieth of the variance at (n_r, n_s, λ) = (100, 900, 1), and
a thousandth at (1000, 10000, 0.95).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from madray.streams import Stream
from madray.theory.controls import controlled_mean
from madray.theory.estimate import Array, Estimate
from madray.theory.first_moments import limit_of, relaxation
from madray.theory.fit import Model, bartlett
from madray.theory.loop import Loop, Split, at_least, check_limit
from madray.theory.real_only import real_only_w2_squared
from madray.theory.second_order import SS, U, W, beginning, stationary, transition
from madray.theory.serial import spectrum, successors

CHAINS = 24
"""Independent chains: enough to tell a standard error by, with three controls taken from their number."""

_ROUNDING = 1e-15
"""What sums over eigenvalues lose to rounding, for each dimension: for very large n all that is left."""

_FIRST_LOOKS = 8
"""How often each chain is looked at before its precision is judged."""

_MOST_AT_A_TIME = 4.0
"""By how much a run grows at the most when it turns out to be too short."""


def limit(
    d: int,
    n_r: int,
    n_s: int,
    bias: float,
    *,
    memory: int = 1,
    split: Split = "sample",
    rtol: float = 1e-3,
    seed: int = 0,
) -> Estimate[float]:
    """E W2² between N(μ_t, Σ_t) and N(0, I) as t → ∞, with n_r fresh real samples in every generation.

    Args:
        d: dimension.
        n_r: real samples of every generation, 1 or more.
        n_s: synthetic samples of every generation; with none, the answer is that of n_r real samples alone.
        bias: λ in (0, 1].
        memory: K; with K > 1 the controls are |μ|² and tr Σ alone.
        split: `sample` or `equal`, see `Loop`.
        rtol: the standard error is at most this much of the mean.
        seed: the same seed gives the same answer.

    Raises: ValueError, if an argument is out of bounds, or n_r = 0, where there is no limit.

    >>> found = limit(10, 50, 100, 0.9, rtol=0.01)
    >>> found.standard_error < 0.01 * found.mean
    True
    """
    loop = Loop(d, n_r, n_s, bias, memory=memory, split=split)
    check_limit(loop)
    at_least("seed", seed, 0)
    if not 0 < rtol < 1:
        raise ValueError(f"rtol: expected a number in (0, 1), got {rtol}")
    if n_s == 0:
        return real_only_w2_squared(d, n_r, rtol=rtol)
    run = LimitRun(loop, rtol=rtol, seed=seed)
    run.reach(rtol)
    return run.estimate()


class LimitRun:
    """Chains under way: they can be made longer until the limit is known well enough."""

    def __init__(self, loop: Loop, *, rtol: float, seed: int) -> None:
        self._loop = loop
        self._start = _Start.of(loop)
        rate = relaxation(loop) if loop.memory > 1 else loop.bias * loop.q
        self._thinning = max(1, round(0.4 / (1 - rate)))
        stream = Stream.of("theory", "limit", seed)
        self._chains = [self._chain(stream.child(chain).numpy(), rtol) for chain in range(CHAINS)]
        self._looks = 0
        self._sums = np.zeros((CHAINS, 4))

    def reach(self, rtol: float) -> None:
        """Go on until the standard error is at most rtol of the mean."""
        self.look(_FIRST_LOOKS - self._looks)
        while (found := self.estimate()).standard_error > rtol * found.mean:
            short_by = (found.standard_error / (rtol * found.mean)) ** 2
            self.look(math.ceil(self._looks * (min(1.1 * short_by, _MOST_AT_A_TIME) - 1)))

    def estimate(self) -> Estimate[float]:
        """What the chains say so far."""
        averages, known = self._sums / self._looks, self._start.known
        found = controlled_mean(averages[:, 0], averages[:, 1 : 1 + known.size] - known)
        mean = self._loop.d * (self._start.m + self._start.c + 1) - 2 * found.mean
        return Estimate(mean, math.hypot(2 * found.standard_error, _ROUNDING * self._loop.d))

    def plain(self) -> Estimate[float]:
        """The same without control variates: the mean of the chains' own W2²."""
        averages = self._sums / self._looks
        w2_squared = averages[:, 1] + averages[:, 2] + self._loop.d - 2 * averages[:, 0]
        return Estimate(float(w2_squared.mean()), float(w2_squared.std(ddof=1) / math.sqrt(CHAINS)))

    def look(self, looks: int) -> None:
        """Make each chain longer, and look at so many more of its generations."""
        for place, chain in enumerate(self._chains):
            for _ in range(looks):
                for _ in range(self._thinning):
                    model = next(chain)
                self._sums[place] += self._look(model)
        self._looks += max(looks, 0)

    def _look(self, model: Model) -> Array:
        """tr Σ^½, |μ|², tr Σ and tr(Σ − cI)²."""
        found = spectrum(model)
        zeros = (self._loop.d - found.size) * self._start.c**2
        apart = np.square(found - self._start.c).sum() + zeros
        return np.array([np.sqrt(found).sum(), model.mean @ model.mean, found.sum(), apart])

    def _chain(self, rng: np.random.Generator, rtol: float) -> Iterator[Model]:
        chain = successors(self._loop, [self._start.model(rng)], rng)
        for _ in range(self._start.burn_in(rtol)):
            next(chain)
        return chain


@dataclass(frozen=True)
class _Start:
    """A beginning near the limit: μ ~ N(0, m I), and Σ ~ Wishart(c I/k, k) with E tr Σ² as in the limit.

    Attributes:
        known: the means of the controls in the limit: |μ|², tr Σ and tr(Σ − cI)², as far as they are known.
    """

    loop: Loop
    m: float
    c: float
    freedom: int
    known: Array

    @staticmethod
    def of(loop: Loop) -> _Start:
        d, first = loop.d, limit_of(loop)
        known = np.array([d * first.m, d * first.c])
        if loop.memory > 1:
            return _Start(loop, first.m, first.c, loop.n - 1, known)
        apart = float(stationary(loop)[W]) - d * first.c**2
        if not math.isfinite(apart):
            # Σ has heavy tails. tr Σ^½ has a variance all the same: it is averaged as it is.
            return _Start(loop, first.m, first.c, loop.n - 1, known[:0])
        freedom = max(1, round(min(first.c**2 * d * (d + 1) / max(apart, 1e-300), 1e15)))
        return _Start(loop, first.m, first.c, freedom, np.append(known, apart))

    def model(self, rng: np.random.Generator) -> Model:
        """One beginning."""
        d = self.loop.d
        root = bartlett(d, self.freedom, rng) * math.sqrt(self.c / self.freedom)
        return Model(rng.standard_normal(d) * math.sqrt(self.m), np.asfortranarray(root))

    def burn_in(self, rtol: float) -> int:
        """Generations after which the beginning is forgotten.

        Σ forgets at the rate λq, μ at q². What the beginning gets wrong of Σ is its finer shape, which counts
        less than rtol once the rate has made a tenth of rtol of it; what it gets wrong of (tr Σ)² and tr Σ²,
        through μ as well, the closed forms tell exactly. μ itself is right from the beginning.
        """
        loop = self.loop
        if self.known.size < 3:
            return _generations(relaxation(loop), rtol / 10)
        least = _generations(loop.bias * loop.q, rtol / 10)
        step, there = transition(loop), stationary(loop)
        z = beginning(loop.d, m=self.m, c=self.c, freedom=self.freedom)
        z = np.linalg.matrix_power(step, least) @ z
        generations = least
        # Of E W2² an error of tr Σ² makes up a quarter, where c = 1; a tenth of rtol is left for it.
        enough = 0.1 * rtol * by_second_moments(loop, there) * 4 * self.c**1.5
        while max(abs(z[W] - there[W]), abs(z[SS] - there[SS]) / loop.d) > enough:
            more = max(1, generations // 4)
            z = np.linalg.matrix_power(step, more) @ z
            generations += more
        return generations


def _generations(rate: float, left: float) -> int:
    """After how many generations at this rate so much is left."""
    return math.ceil(math.log(left) / math.log(max(rate, 1e-12)))


def by_second_moments(loop: Loop, z: Array) -> float:
    """E W2² to second order: d m + d (1 − √c)² + (E tr Σ² − d c²)/(4 c^{3/2})."""
    d, c = loop.d, z[U + 1] / loop.d
    return float(z[U] + d * (1 - math.sqrt(c)) ** 2 + (z[W] - d * c**2) / (4 * c**1.5))
