"""What the fresh-data loop tends to where there is very much data: closed forms."""

from __future__ import annotations

import math

from madray.theory.loop import at_least, check_bias


def bias_floor(d: int, p: float, bias: float) -> float:
    """E W2² in the limit of many generations, then of large training sets with a real share of p.

        d (1 − √c)²     c = p/(1 − λq)     q = 1 − p

    Without sampling error Σ is the fixed point c I of c' = p + λqc. It is 0 for λ = 1, and where all is real.

    Raises: ValueError, if an argument is out of bounds.

    >>> round(bias_floor(100, 0.5, 0.5), 4)  # c = 2/3
    3.3674
    """
    at_least("d", d, 1)
    check_bias(bias)
    if not 0 < p <= 1:
        raise ValueError(f"p: expected a share in (0, 1], got {p}")
    return d * (1 - math.sqrt(p / (1 - bias * (1 - p)))) ** 2


def boundary_limit(d: int, bias: float) -> float:
    """What the threshold n_s* tends to as n_r → ∞, for λ < 1: synthetic data beyond it always does harm.

        n_s* → 4 [(2 − λ) + (d + 1)(½ + (3/2)λ − λ²)/4] / (1 − λ)²

    With n_s fixed and n_r → ∞ the synthetic share q is small. To first order in it, |μ|² and the spread of Σ
    fall by the factors 1 − (2 − λ)q and 1 − (½ + (3/2)λ − λ²)q, from d/n_r and d(d + 1)/(4 n_r): synthetic
    samples carry what earlier real ones said. What they do to c costs d(1 − √c)² ≈ d(1 − λ)²q²/4. At n_s*
    both are equal.

    Raises: ValueError, if λ is outside (0, 1], or d < 1.

    >>> round(boundary_limit(100, 0.5)), boundary_limit(100, 1.0)
    (428, inf)
    """
    at_least("d", d, 1)
    check_bias(bias)
    if bias == 1:
        return math.inf
    gain = (2 - bias) + (d + 1) * (0.5 + 1.5 * bias - bias**2) / 4
    return 4 * gain / (1 - bias) ** 2
