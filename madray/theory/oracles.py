"""Checks that closed forms, simulation and naive sampling agree, each with a mistake that it must see.

A check compares estimates with what they should be, as z-scores: the difference in standard errors. It passes
when every |z| is below 4, and when the largest |z| of its wrong variant, a mistake that is easily made, is
above. A right check is below 4 in all its comparisons but for one run in 16,000 for each comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.special import digamma, gammaln, polygamma
from scipy.stats import norm

from madray.streams import Stream
from madray.theory import brute_force, serial
from madray.theory.estimate import Array, Estimate
from madray.theory.first_moments import moment_limit, moments
from madray.theory.limits import limit
from madray.theory.loop import Loop, Split
from madray.theory.real_only import effective_sample_size, real_only_w2_squared
from madray.theory.second_order import U, beginning, transition
from madray.theory.simulation import Simulation, simulate

SURE = 4.0
"""The |z| that no right comparison reaches, and that a wrong variant has to."""

ERROR_RATE = float(2 * norm.sf(SURE))
"""How often a right comparison is beyond it."""


@dataclass(frozen=True)
class Check:
    """Two sets of z-scores.

    Attributes:
        claim: what was compared.
        wrong: the mistake of the wrong variant.
        z: of the claim's comparisons.
        z_wrong: of the wrong variant's.
    """

    claim: str
    wrong: str
    z: Array
    z_wrong: Array

    @property
    def worst(self) -> float:
        """The z of the largest size among the claim's; NaN counts as the largest."""
        return _largest(self.z)

    @property
    def wrong_at(self) -> float:
        """The z of the largest size among the wrong variant's."""
        return _largest(self.z_wrong)

    @property
    def passed(self) -> bool:
        """Whether the claim holds and the mistake was noticed."""
        return abs(self.worst) < SURE <= abs(self.wrong_at)


def checks(seed: int = 0, *, share: float = 1.0) -> Iterator[Check]:
    """All checks, one after the other as they are done; about a minute.

    Args:
        share: of the chains that are simulated; what is not simulated is checked as ever. A mistake is then
            √share times as many standard errors away.
    """
    for check in _CHECKS:
        yield check(seed, share)


def _largest(z: Array) -> float:
    return float(z.ravel()[np.argmax(np.where(np.isnan(z), np.inf, np.abs(z)))])


def _z(found: Estimate[Array], expected: Array | float) -> Array:
    return np.asarray((found.mean - expected) / found.standard_error)


def _z_between(found: Estimate[Array], other: Estimate[Array]) -> Array:
    error = np.hypot(found.standard_error, other.standard_error)
    return np.asarray((found.mean - other.mean) / error)


def _joined(*z: Array | float) -> Array:
    return np.concatenate([np.atleast_1d(each) for each in z])


def _first_moments(seed: int, share: float) -> Check:
    d, n_r, n_s, bias, n_ini, generations = 6, 4, 9, 0.8, 5, 8
    made = simulate(
        d, n_r, n_s, bias, n_ini=n_ini, generations=generations, replicates=_chains(40_000, share), seed=seed
    )
    exact = moments(d, n_r, n_s, bias, n_ini=n_ini, generations=generations)
    n = n_r + n_s
    c = [1.0]
    for _ in range(1, generations):
        c.append(n_r / n + bias * n_s / n * c[-1])  # as if both groups had one mean
    return Check(
        "E|μ|² and E tr Σ by generation: simulation = closed form (d = 6, n_r = 4, n_s = 9, λ = 0.8)",
        "the distance between the means of real and synthetic samples left out of Σ",
        _joined(_z(made.mean_squared_norm, d * exact.m), _z(made.trace, d * exact.c)),
        _z(made.trace, d * np.array(c)),
    )


def _memory(seed: int, share: float) -> Check:
    d, n_r, n_s, n_ini, generations = 3, 2, 20, 8, 8
    z: list[Array] = []
    z_wrong: list[Array] = []
    settings: tuple[tuple[Split, int], ...] = (("sample", 2), ("equal", 2), ("equal", 3))
    for split, memory in settings:
        made = simulate(
            d,
            n_r,
            n_s,
            1.0,
            n_ini=n_ini,
            memory=memory,
            split=split,
            generations=generations,
            replicates=_chains(40_000, share),
            seed=seed,
        )
        for reach, into in ((memory, z), (memory + 1, z_wrong)):
            exact = moments(d, n_r, n_s, 1.0, n_ini=n_ini, memory=reach, split=split, generations=generations)
            into += [_z(made.mean_squared_norm, d * exact.m), _z(made.trace, d * exact.c)]
    return Check(
        "the same with memory K = 2 and 3, split by sample and equally",
        "K + 1 generations in place of K",
        _joined(*z),
        _joined(*z_wrong),
    )


def _second_moments(seed: int, share: float) -> Check:
    loop, n_ini, generations, replicates = Loop(5, 4, 9, 0.8), 4, 4, _chains(6_000, share)
    told = np.empty((replicates, generations, 7))
    for replicate in range(replicates):
        chain = serial.chain(loop, n_ini, _rng(seed, "second moments", replicate))
        for t, model in zip(range(generations), chain, strict=False):
            told[replicate, t] = _quadratic(model.mean, model.root @ model.root.T)
    made = Estimate.over_replicates(told)
    step = transition(loop)
    exact = [beginning(loop.d, m=1 / n_ini, c=1.0, freedom=n_ini - 1)]
    for _ in range(1, generations):
        exact.append(step @ exact[-1])
    known = np.array(exact)[:, U:]
    constant = known.copy()
    d, k = loop.d, n_ini - 1
    constant[0, -1] -= d * (d + 1) / k
    return Check(
        "E|μ|⁴, E|μ|² tr Σ, E μᵀΣμ, E(tr Σ)², E tr Σ² by generation: simulation = closed form",
        "E tr Σ² of generation 1 without the variance of Σ",
        _z(made, known).ravel(),
        _z(made, constant).ravel(),
    )


def _quadratic(mean: Array, covariance: Array) -> list[float]:
    u, s = mean @ mean, np.trace(covariance)
    return [u, s, u * u, u * s, mean @ covariance @ mean, s * s, np.vdot(covariance, covariance)]


BRUTE_FORCE_SETTINGS: tuple[tuple[Loop, int], ...] = (
    (Loop(1, 3, 5, 0.7), 4),
    (Loop(2, 0, 6, 1.0, "none"), 6),
    (Loop(3, 2, 10, 1.0), 2),
    (Loop(5, 3, 8, 0.5), 10),
    (Loop(5, 20, 3, 0.9), 3),
    (Loop(8, 1, 20, 1.0), 5),
    (Loop(8, 12, 0, 1.0), 20),
    (Loop(4, 6, 6, 0.8, "fixed"), 6),
    (Loop(4, 9, 6, 0.8, "fixed"), 5),
    (Loop(4, 5, 9, 1.0, "fixed"), 9),
    (Loop(3, 5, 20, 1.0, memory=3), 8),
    (Loop(3, 5, 20, 0.9, memory=4, split="equal"), 8),
    (Loop(30, 10, 40, 0.9), 25),
    (Loop(30, 5, 8, 1.0, memory=2), 40),
)
"""Loops and n_ini that are compared: n_r − 1 < d, singular Σ, memory and all real parts among them."""


def compare_with_brute_force(
    loop: Loop, n_ini: int, *, generations: int, replicates: int, seed: int
) -> tuple[Array, Array]:
    """z-scores of W2², W2, tr Σ and |μ|² by generation, and those with Σ divided by n in place of n − 1."""
    made = simulate(
        loop.d,
        loop.n_r,
        loop.n_s,
        loop.bias,
        real=loop.real,
        n_ini=n_ini,
        memory=loop.memory,
        split=loop.split,
        generations=generations,
        replicates=replicates,
        seed=seed,
    )
    told = np.empty((replicates, generations, 3))
    for replicate in range(replicates):
        chain = brute_force.chain(loop, n_ini, _rng(seed, "brute force", replicate))
        for t, model in zip(range(generations), chain, strict=False):
            told[replicate, t] = brute_force.statistics(model)
    biased = told * [1, (n_ini - 1) / n_ini, math.sqrt((n_ini - 1) / n_ini)]
    return _z_of_all(made, told, loop.d), _z_of_all(made, biased, loop.d)


def _z_of_all(made: Simulation, told: Array, d: int) -> Array:
    w2_squared = np.maximum(told[..., 0] + told[..., 1] + d - 2 * told[..., 2], 0.0)
    by_name = {"w2_squared": w2_squared, "w2": np.sqrt(w2_squared), "trace": told[..., 1]}
    by_name["mean_squared_norm"] = told[..., 0]
    return _joined(
        *(
            _z_between(getattr(made, name), Estimate.over_replicates(values))
            for name, values in by_name.items()
        )
    )


def _brute_force(seed: int, share: float) -> Check:
    z: list[Array] = []
    z_wrong: list[Array] = []
    for loop, n_ini in BRUTE_FORCE_SETTINGS:
        right, wrong = compare_with_brute_force(
            loop, n_ini, generations=4, replicates=_chains(1500, share), seed=seed
        )
        z.append(right)
        z_wrong.append(wrong)
    return Check(
        f"W2², W2, tr Σ, |μ|² at {len(BRUTE_FORCE_SETTINGS)} settings: simulation = sampling and numpy.cov",
        "covariances divided by n, not n − 1",
        _joined(*z),
        _joined(*z_wrong),
    )


def _shrinking(seed: int, share: float) -> Check:
    d, n_s, bias, generations = 4, 12, 0.7, 10
    made = simulate(
        d,
        0,
        n_s,
        bias,
        real="none",
        n_ini=n_s,
        generations=generations,
        replicates=_chains(40_000, share),
        seed=seed,
    )
    shrunk = d * bias ** np.arange(generations, dtype=float)
    return Check(
        "fully synthetic: E Σ_t = λ^{t−1} E Σ_1 (Eq. 2)",
        "λ^t",
        _z(made.trace, shrunk),
        _z(made.trace, bias * shrunk),
    )


def _collapse(seed: int, share: float) -> Check:
    n_s, generations, replicates = 6, 200, _chains(2000, share)
    loop = Loop(3, 0, n_s, 1.0, "none")
    logs = np.empty(replicates)
    for replicate in range(replicates):
        chain = serial.chain(loop, n_s, _rng(seed, "collapse", replicate))
        logs[replicate] = _log_det(next(islice(chain, generations - 1, None)).root)
    places = np.arange(loop.d)
    drift = float(np.sum(digamma((n_s - 1 - places) / 2) + math.log(2 / (n_s - 1))))
    spread = float(np.sum(polygamma(1, (n_s - 1 - places) / 2)))
    walked = Estimate.over_replicates(logs)
    variance = logs.var(ddof=1) / (generations * spread) - 1
    return Check(
        "fully synthetic, λ = 1: log det Σ_t walks with the drift and variance of the Wishart law; Σ_t → 0",
        "no drift, as E Σ_t = E Σ_1 suggests",
        _joined(_z(walked, generations * drift), variance / math.sqrt(2 / replicates)),
        _z(walked, 0.0),
    )


def _log_det(root: Array) -> float:
    return float(2 * np.log(np.abs(root.diagonal())).sum())


def _one_dimension(seed: int, share: float) -> Check:
    mean, deviation = 0.3, 0.6
    u = _rng(seed, "one dimension").random(400_000)
    apart = (norm.ppf(u, mean, deviation) - norm.ppf(u)) ** 2
    made = Estimate.over_replicates(apart)
    return Check(
        "W2² in one dimension: the quantiles' mean square distance = μ² + (σ − 1)²",
        "variances for deviations: μ² + (σ² − 1)²",
        np.atleast_1d(_z(made, mean**2 + (deviation - 1) ** 2)),
        np.atleast_1d(_z(made, mean**2 + (deviation**2 - 1) ** 2)),
    )


def _real_only(seed: int, share: float) -> Check:
    z: list[Array] = []
    z_wrong: list[Array] = []
    for d, n in ((30, 12), (30, 31), (30, 200), (5, 40)):
        made = simulate(d, n, 0, 1.0, n_ini=n, generations=1, replicates=_chains(2000, share), seed=seed)
        for size, into in ((n, z), (n + 1, z_wrong)):
            alone = real_only_w2_squared(d, size)
            into.append(
                _z_between(made.w2_squared, Estimate(np.array(alone.mean), np.array(alone.standard_error)))
            )
    alone = real_only_w2_squared(1, 20)
    for size, into in ((20, z), (21, z_wrong)):
        k = size - 1
        root = math.sqrt(2 / k) * math.exp(gammaln(size / 2) - gammaln(k / 2))
        into.append(np.atleast_1d((alone.mean - (1 / size + 2 - 2 * root)) / alone.standard_error))
    return Check(
        "E W2² of n real samples: bidiagonal form = Bartlett's form, also at n < d, = closed form at d = 1",
        "n + 1 samples",
        _joined(*z),
        _joined(*z_wrong),
    )


def _limits(seed: int, share: float) -> Check:
    z: list[Array] = []
    z_wrong: list[Array] = []
    for d, n_r, n_s, bias, memory in ((10, 20, 60, 0.8, 1), (10, 8, 30, 1.0, 1), (5, 10, 20, 1.0, 3)):
        made = simulate(
            d,
            n_r,
            n_s,
            bias,
            n_ini=n_r,
            memory=memory,
            generations=60,
            replicates=_chains(2500, share),
            seed=seed,
        )
        last = Estimate(made.w2_squared.mean[-1:], made.w2_squared.standard_error[-1:])
        found = limit(d, n_r, n_s, bias, memory=memory, rtol=4e-3 / math.sqrt(share), seed=seed)
        closed = moment_limit(d, n_r, n_s, bias, memory=memory)
        alone = real_only_w2_squared(d, n_r + n_s)
        z.append((last.mean - found.mean) / np.hypot(last.standard_error, found.standard_error))
        z.append(_z(made.trace, d * closed.c)[-1:])
        z_wrong.append((last.mean - alone.mean) / last.standard_error)
    return Check(
        "the limit of E W2² and of E tr Σ: chains of 60 generations = control variates and closed forms",
        "synthetic samples counted as real ones",
        _joined(*z),
        _joined(*z_wrong),
    )


def _sample_size(seed: int, share: float) -> Check:
    z: list[Array] = []
    z_wrong: list[Array] = []
    for d, n in ((100, 20), (100, 100), (100, 777), (10, 5), (7, 50)):
        worth = effective_sample_size(real_only_w2_squared(d, n), d)
        error = math.hypot(worth.standard_error, 1e-3 * n)  # the table's own
        z.append(np.array([(worth.mean - n) / error]))
        z_wrong.append(np.array([(worth.mean - (n - 1)) / error]))
    return Check(
        "n_e of n real samples is n",
        "n − 1, the degrees of freedom",
        _joined(*z),
        _joined(*z_wrong),
    )


def _chains(number: int, share: float) -> int:
    return math.ceil(number * share)


def _rng(seed: int, *name: str | int) -> np.random.Generator:
    return Stream.of("theory", "oracles", seed, *name).numpy()


_CHECKS: tuple[Callable[[int, float], Check], ...] = (
    _first_moments,
    _memory,
    _second_moments,
    _brute_force,
    _shrinking,
    _collapse,
    _one_dimension,
    _real_only,
    _limits,
    _sample_size,
)
