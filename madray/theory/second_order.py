"""Second moments of the Gaussian loop with K = 1, exactly: they close under the Wishart law.

Write u = |μ|², s = tr Σ, w = tr Σ², v = μᵀΣμ. Given (μ, Σ), the next generation is

    μ' = p x̄ + q ȳ = qμ + ξ        D = ȳ − x̄ = μ + η        Σ' = (A_r + A_s + npq D Dᵀ) / (n − 1)

with A_r ~ Wishart(I, n_r − 1), A_s ~ Wishart(λΣ, n_s − 1) and Gaussian ξ, η, all independent but ξ and η:

    C = cov ξ = (p I + λq Σ)/n     G = cov η = I/n_r + λΣ/n_s     R = cov(ξ, η) = (λΣ − I)/n
    B = E A = (n_r − 1) I + (n_s − 1) λΣ,  A = A_r + A_s

For A ~ Wishart(V, k): E (tr A)² = k² (tr V)² + 2k tr V² and E tr A² = k(k + 1) tr V² + k (tr V)². For
Gaussians X = a + ξ, Y = b + η the fourth moments follow from Isserlis. So

    E u'²  = (q²u + tr C)² + 2 tr C² + 4q² μᵀCμ
    E |D|⁴ = (u + tr G)² + 2 tr G² + 4 μᵀGμ
    (n−1)² E s'² = (tr B)² + 2(n_r−1)d + 2(n_s−1)λ²w + 2npq tr B (u + tr G) + (npq)² E |D|⁴
    (n−1)² E w'  = tr B² + (n_r−1)(d + d²) + (n_s−1)λ²(w + s²) + 2npq (μᵀBμ + tr GB) + (npq)² E |D|⁴
    (n−1) E u's' = (q²u + tr C) tr B + npq [(q²u + tr C)(u + tr G) + 2 tr R² + 4q μᵀRμ]
    (n−1) E v'   = q²μᵀBμ + tr CB + npq [(qu + tr R)² + q² μᵀGμ + μᵀCμ + 2q μᵀRμ + tr CG + tr R²]

B, C, G and R are all α I + βΣ, so every term is linear in z = (1, u, s, u², us, v, s², w): z' = T z. The
limit is the eigenvector of T for the eigenvalue 1, and T's other eigenvalues say how fast it is reached;
where one of them is 1 or more, second moments have no limit (very few real samples beside many synthetic
ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import numpy as np

from madray.theory.estimate import Array, Number
from madray.theory.loop import Loop, at_least, check_limit

ONE, U, S, UU, US, V, SS, W = range(8)
"""Places of 1, u, s, u², us, v, s² and w in z."""


@dataclass(frozen=True)
class SecondMoments(Generic[Number]):
    """Means of the quadratic invariants of (μ, Σ), floats or arrays by generation; their signs in brackets.

    Attributes:
        norm_fourth: E |μ|⁴ (u²).
        norm_squared_trace: E |μ|² tr Σ (us).
        quadratic_form: E μᵀΣμ (v).
        trace_squared: E (tr Σ)² (s²).
        squared_trace: E tr Σ² (w).
    """

    norm_fourth: Number
    norm_squared_trace: Number
    quadratic_form: Number
    trace_squared: Number
    squared_trace: Number


def second_moments(
    d: int, n_r: int, n_s: int, bias: float, *, n_ini: int, generations: int
) -> SecondMoments[Array]:
    """Second moments of generations 1, 2, …, with n_r fresh real samples in each after the first.

    Returns: arrays of shape (generations,).

    Raises: ValueError, if an argument is out of bounds.

    >>> second_moments(1, 0, 9, 1.0, n_ini=9, generations=2).norm_fourth.round(4)  # N(0, 1/9): 3/81
    array([0.037 , 0.1574])
    """
    loop = Loop(d, n_r, n_s, bias)
    at_least("n_ini", n_ini, 2)
    at_least("generations", generations, 1)
    z = beginning(d, m=1 / n_ini, c=1.0, freedom=n_ini - 1)
    step = transition(loop)
    told = [z]
    for _ in range(1, generations):
        told.append(step @ told[-1])
    by_generation = np.array(told)
    return SecondMoments(*(by_generation[:, place] for place in (UU, US, V, SS, W)))


def second_moment_limit(d: int, n_r: int, n_s: int, bias: float) -> SecondMoments[float]:
    """Second moments in the limit of many generations.

    Returns: floats; infinite where second moments have no limit.

    Raises: ValueError, if an argument is out of bounds, or n_r = 0, where there is no limit.

    >>> second_moment_limit(1, 101, 0, 1.0).squared_trace  # 1 + 2/(n − 1)
    1.02
    """
    loop = Loop(d, n_r, n_s, bias)
    check_limit(loop)
    z = stationary(loop)
    return SecondMoments(*(float(z[place]) for place in (UU, US, V, SS, W)))


def beginning(d: int, *, m: float, c: float, freedom: float) -> Array:
    """z of μ ~ N(0, m I) and an independent Σ ~ Wishart(c I / k, k), k being the degrees of freedom."""
    squared_trace = c**2 * (d + d * (d + 1) / freedom)
    trace_squared = c**2 * (d**2 + 2 * d / freedom)
    return np.array(
        [1, d * m, d * c, d * (d + 2) * m**2, d * m * d * c, m * d * c, trace_squared, squared_trace]
    )


def stationary(loop: Loop) -> Array:
    """z in the limit; its second moments are infinite where they have no limit."""
    step = transition(loop)
    # 1, u and s depend on nothing else, and always have a limit; the other five follow from them.
    first = np.linalg.solve(np.eye(2) - step[U : S + 1, U : S + 1], step[U : S + 1, ONE])
    low = np.concatenate([[1.0], first])
    if np.abs(np.linalg.eigvals(step[UU:, UU:])).max() >= 1:
        return np.concatenate([low, np.full(5, np.inf)])
    return np.concatenate([low, np.linalg.solve(np.eye(5) - step[UU:, UU:], step[UU:, :UU] @ low)])


@dataclass(frozen=True)
class _Affine:
    """The matrix α I + βΣ."""

    alpha: float
    beta: float


def transition(loop: Loop) -> Array:
    """T with E[z' | z] = T z, shape (8, 8); with n_r = 0 or n_s = 0 as well."""
    d, n_r, n_s, n, q, bias = loop.d, loop.n_r, loop.n_s, loop.n, loop.q, loop.bias
    between = n * loop.p * q  # npq: 0 where a part is empty, and D with it
    C = _Affine(loop.p / n, bias * q / n)
    G = _Affine(1 / n_r if n_r else 0.0, bias / n_s if n_s else 0.0)
    R = _Affine(-1 / n, bias / n)
    B = _Affine(max(n_r - 1, 0), bias * max(n_s - 1, 0))
    freedom_r, freedom_s = max(n_r - 1, 0), max(n_s - 1, 0)

    def unit(place: int) -> Array:
        return np.asarray(np.eye(8)[place])

    def trace(A: _Affine) -> Array:
        return A.alpha * d * unit(ONE) + A.beta * unit(S)

    def trace_of_product(A: _Affine, E: _Affine) -> Array:
        cross = A.alpha * E.beta + A.beta * E.alpha
        return A.alpha * E.alpha * d * unit(ONE) + cross * unit(S) + A.beta * E.beta * unit(W)

    def form(A: _Affine) -> Array:
        return A.alpha * unit(U) + A.beta * unit(V)

    mean_squared = q**2 * unit(U) + trace(C)  # E |μ'|²
    apart_squared = unit(U) + trace(G)  # E |D|²
    apart_fourth = _product(apart_squared, apart_squared) + 2 * trace_of_product(G, G) + 4 * form(G)
    along = q * unit(U) + trace(R)  # E μ'·D
    step = np.zeros((8, 8))
    step[ONE] = unit(ONE)
    step[U] = mean_squared
    step[S] = (trace(B) + between * apart_squared) / (n - 1)
    step[UU] = _product(mean_squared, mean_squared) + 2 * trace_of_product(C, C) + 4 * q**2 * form(C)
    step[US] = _product(mean_squared, trace(B)) + between * (
        _product(mean_squared, apart_squared) + 2 * trace_of_product(R, R) + 4 * q * form(R)
    )
    step[V] = (q**2 * form(B) + trace_of_product(C, B)) + between * (
        _product(along, along)
        + q**2 * form(G)
        + form(C)
        + 2 * q * form(R)
        + trace_of_product(C, G)
        + trace_of_product(R, R)
    )
    scatter = between**2 * apart_fourth
    step[SS] = (
        _product(trace(B), trace(B))
        + 2 * freedom_r * d * unit(ONE)
        + 2 * freedom_s * bias**2 * unit(W)
        + 2 * between * _product(trace(B), apart_squared)
        + scatter
    )
    step[W] = (
        trace_of_product(B, B)
        + freedom_r * (d + d**2) * unit(ONE)
        + freedom_s * bias**2 * (unit(W) + unit(SS))
        + 2 * between * (form(B) + trace_of_product(G, B))
        + scatter
    )
    step[US : V + 1] /= n - 1
    step[SS:] /= (n - 1) ** 2
    return step


def _product(left: Array, right: Array) -> Array:
    """The product of two forms that are linear in 1, u and s, as a form in z."""
    product = np.zeros(8)
    (one_l, u_l, s_l), (one_r, u_r, s_r) = left[:3], right[:3]
    product[ONE] = one_l * one_r
    product[U] = one_l * u_r + u_l * one_r
    product[S] = one_l * s_r + s_l * one_r
    product[UU] = u_l * u_r
    product[US] = u_l * s_r + s_l * u_r
    product[SS] = s_l * s_r
    return product
