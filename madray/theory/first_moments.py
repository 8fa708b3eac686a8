"""First moments of the Gaussian loop, exactly: E μμᵀ = m I and E Σ = c I, by generation and in the limit.

With n = n_r + n_s, p = n_r/n, q = n_s/n and the last generation alone (K = 1) they obey

    m' = q² m + p/n + (λq/n) c          c' = p + λq c + (npq/(n − 1)) m

from m = 1/n_ini, c = 1. With p = 0 this is Eq. 2 of the paper: E μ' = E μ, E Σ' = λ E Σ. The fixed point is

    a = q/((n − 1)(1 + q))     Δ = 1 − λq(1 + a)     c = p(1 + a)/Δ     m = 1/(n(1 + q)Δ)

Of K > 1 generations the recursion holds the products of their means as well, r_k = E μ_t·μ_{t−k} / d. Let the
synthetic groups have n_g samples, g = 1 … K the lag; the numbers are random where each sample picks its
generation. Given the past, group means and scatters are independent, so that with sums over g and h

    E μ_t·μ_{t−k} / d = (1/n) Σ E n_g r_{|g−k|}
    m' = (1/n²) (n_r + λ Σ E n_g c_g + Σ E n_g n_h r_{|g−h|})
    (n − 1) c' = (1 − 1/n) (n_r + λ Σ E n_g c_g) + Σ E n_g m_g − (1/n) Σ E n_g n_h r_{|g−h|}

which is linear, and closes. Source of the loop: Alemohammad et al. 2023, sections 3.1 and 5, appendix G.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import numpy as np

from madray.theory.estimate import Array, Number
from madray.theory.loop import Loop, Split, at_least, check_limit


@dataclass(frozen=True)
class Moments(Generic[Number]):
    """m and c, where E μμᵀ = m I and E Σ = c I: floats, or arrays by generation."""

    m: Number
    c: Number


def moments(
    d: int,
    n_r: int,
    n_s: int,
    bias: float,
    *,
    n_ini: int,
    memory: int = 1,
    split: Split = "sample",
    generations: int,
) -> Moments[Array]:
    """m and c of generations 1, 2, …, with n_r fresh real samples in each after the first.

    Args:
        d: dimension; m and c do not depend on it.
        bias: λ in (0, 1].
        n_ini: real samples of generation 1, 2 or more.
        memory: K; generation t draws on min(K, t − 1).
        split: `sample` or `equal`, see `Loop`.

    Returns: arrays of shape (generations,).

    Raises: ValueError, if an argument is out of bounds.

    >>> moments(3, 0, 100, 0.5, n_ini=100, generations=3).c
    array([1.  , 0.5 , 0.25])
    """
    loop = Loop(d, n_r, n_s, bias, memory=memory, split=split)
    at_least("n_ini", n_ini, 2)
    at_least("generations", generations, 1)
    gram = np.array([[1 / n_ini]])
    c = np.array([1.0])
    told = [(1 / n_ini, 1.0)]
    for _ in range(1, generations):
        reach = len(c)
        counts, pairs = loop.expected_counts(reach)
        means = np.sum(pairs * gram)
        spread = loop.n_r + loop.bias * counts @ c
        m_next = (spread + means) / loop.n**2
        c_next = ((1 - 1 / loop.n) * spread + counts @ gram.diagonal() - means / loop.n) / (loop.n - 1)
        told.append((m_next, c_next))
        # The newest generation comes first; what is older than K is forgotten.
        across = counts @ gram / loop.n
        gram = np.block([[np.array([[m_next]]), across[None]], [across[:, None], gram]])[:memory, :memory]
        c = np.concatenate([[c_next], c])[:memory]
    by_generation = np.array(told)
    return Moments(by_generation[:, 0], by_generation[:, 1])


def moment_limit(
    d: int, n_r: int, n_s: int, bias: float, *, memory: int = 1, split: Split = "sample"
) -> Moments[float]:
    """m and c in the limit of many generations, of the loop with n_r fresh real samples.

    Raises: ValueError, if an argument is out of bounds, or n_r = 0, where there is no limit.

    >>> moment_limit(3, 100, 0, 1.0)
    Moments(m=0.01, c=1.0)
    """
    loop = Loop(d, n_r, n_s, bias, memory=memory, split=split)
    check_limit(loop)
    return limit_of(loop)


def limit_of(loop: Loop) -> Moments[float]:
    """As `moment_limit`, of a checked loop that has a limit: its linear equations, solved."""
    n, reach = loop.n, loop.memory
    counts, pairs = loop.expected_counts(reach)
    lags = np.abs(np.subtract.outer(np.arange(reach), np.arange(reach)))
    # Unknowns: r_0 = m, r_1, …, r_{K−1}, c. Each row below is (unknown) − (what it equals) = (a constant).
    system, constants = np.eye(reach + 1), np.zeros(reach + 1)
    means = np.bincount(lags.ravel(), pairs.ravel(), minlength=reach)  # Σ E n_g n_h r_{|g−h|}
    spread = loop.bias * counts.sum()  # times c, and n_r beside it
    system[0, :reach] -= means / n**2
    system[0, -1] -= spread / n**2
    constants[0] = loop.n_r / n**2
    for k in range(1, reach):
        np.subtract.at(system[k], np.abs(np.arange(1, reach + 1) - k), counts / n)
    system[-1, :reach] += means / n / (n - 1)
    system[-1, 0] -= counts.sum() / (n - 1)
    system[-1, -1] -= spread / n
    constants[-1] = loop.n_r / n
    solved = np.linalg.solve(system, constants)
    return Moments(float(solved[0]), float(solved[-1]))


def relaxation(loop: Loop) -> float:
    """By how much what is left of the beginning shrinks in a generation: max(λq, q²) where K = 1.

    Terms of the order 1/n, by which μ and Σ act on each other, are left out.

    For K > 1 the mean of Σ obeys c_t = (λq/K) Σ c_{t−g} + …, that of μ the same without λ: the rate is the
    largest root of z^K = (x/K) (z^{K−1} + … + 1), squared for μ.
    """

    def largest_root(x: float) -> float:
        companion = np.eye(loop.memory, k=-1)
        companion[0] = x * loop.expected_counts(loop.memory)[0] / max(loop.n_s, 1)
        return float(np.abs(np.linalg.eigvals(companion)).max())

    return max(largest_root(loop.bias * loop.q), largest_root(loop.q) ** 2)
