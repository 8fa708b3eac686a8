"""Claims about simulated numbers, with honest statistics.

A difference counts from `SURE` standard errors on. A claim that several numbers are all above a bound, or
all within a margin, holds where each one alone is sure of it: so it is wrong no more often than a single one
would be. Only a claim that none differs can fail by chance in as many ways as there are differences; it says
how often.

Standard errors of the numbers that a difference is made of are added, not their squares: cells of one seed
share random numbers, and the sum is large enough however they are correlated.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
from scipy.stats import t

from madray.errors import BadInput
from madray.report.claims import Claim
from madray.theory import Estimate
from madray.theory.estimate import Array

SURE = 4.0
"""Standard errors from which on a difference counts."""

_FREEDOM = 20
"""Degrees of freedom of the standard errors of limits, the least: they come from 24 chains and 3 controls."""

ERROR_RATE = float(t.sf(SURE, _FREEDOM))
"""How often chance alone puts one number so far to one side."""


def combined(weights: Array, values: Estimate[Array]) -> Estimate[Array]:
    """Σ_j w_ij y_j for weights of shape (k, m) and values of shape (m,), with Σ_j |w_ij| s_j as its error.

    >>> combined(np.array([[1.0, -1.0]]), Estimate(np.array([3.0, 1.0]), np.array([0.1, 0.2])))
    Estimate(mean=array([2.]), standard_error=array([0.3]))
    """
    return Estimate(weights @ values.mean, np.abs(weights) @ values.standard_error)


def steps(values: Estimate[Array]) -> Estimate[Array]:
    """Each value less the one before it, shape (m − 1,)."""
    return combined(np.diff(np.eye(values.mean.size), axis=0), values)


def pairs(values: Estimate[Array]) -> Estimate[Array]:
    """The differences of all pairs of values, shape (m (m − 1)/2,)."""
    weights = [one - other for one, other in combinations(np.eye(values.mean.size), 2)]
    return combined(np.array(weights).reshape(-1, values.mean.size), values)


def less(values: Estimate[Array], other: Estimate[Array]) -> Estimate[Array]:
    """Values less others, one by one."""
    return Estimate(values.mean - other.mean, values.standard_error + other.standard_error)


def joined(parts: Iterable[Estimate[Array]]) -> Estimate[Array]:
    """Several arrays of estimates as one."""
    means, errors = zip(*((part.mean, part.standard_error) for part in parts), strict=True)
    return Estimate(np.concatenate(means), np.concatenate(errors))


def slope(x: Array, y: Estimate[Array]) -> Estimate[Array]:
    """The slope of log y against log x, by least squares: −1 where y ∝ 1/x. Shape (1,).

    >>> x = np.array([1.0, 10.0, 100.0])
    >>> found = slope(x, Estimate(5 / x, 0 * x))
    >>> round(float(found.mean[0]), 9)
    -1.0
    """
    apart = np.log(x) - np.log(x).mean()
    return combined((apart / (apart @ apart))[None], logged(y))


def logged(values: Estimate[Array]) -> Estimate[Array]:
    """Natural logarithms, standard errors to first order."""
    return Estimate(np.log(values.mean), values.standard_error / values.mean)


def all_above(text: str, values: Estimate[Array], bound: float = 0.0) -> Claim:
    """The claim that all values are above a bound.

    >>> all_above("it rises", Estimate(np.array([1.0, 2.0]), np.array([0.1, 0.1]))).evidence
    'the least sure of 2 is 1, 10 standard errors above 0'
    """
    _some(text, values)
    with np.errstate(divide="ignore"):
        z = (values.mean - bound) / values.standard_error
    worst = int(np.argmin(z))  # a NaN counts as the least
    among = f"the least sure of {z.size} is" if z.size > 1 else "it is"
    apart = f"{abs(z[worst]):.3g} standard errors {'above' if z[worst] >= 0 else 'below'} {bound:g}"
    return Claim(text, bool(z[worst] >= SURE), f"{among} {values.mean[worst]:.3g}, {apart}")


def all_within(text: str, values: Estimate[Array], margin: float) -> Claim:
    """The claim that all values are at most a margin away from 0.

    >>> all_within("it stays", Estimate(np.array([0.01]), np.array([0.001])), 0.02).evidence
    'at most 0.014 away, 4 standard errors included; 0.02 is allowed'
    """
    _some(text, values)
    reach = np.max(np.abs(values.mean) + SURE * values.standard_error)
    evidence = f"at most {reach:.2g} away, {SURE:g} standard errors included; {margin:g} is allowed"
    return Claim(text, bool(reach <= margin), evidence)


def none_differs(text: str, differences: Estimate[Array]) -> Claim:
    """The claim that no difference is large enough to be seen: small ones may be there, see `all_within`.

    >>> none_differs("no two differ", Estimate(np.array([0.1, -0.3]), np.array([0.1, 0.1]))).evidence
    'the largest of 2 is 3 standard errors from 0; chance alone makes one of them 4 in at most 0.14 % of runs'
    """
    _some(text, differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = np.max(np.abs(differences.mean) / differences.standard_error)
    rate = min(1.0, 2 * differences.mean.size * ERROR_RATE)
    evidence = (
        f"the largest of {differences.mean.size} is {largest:.2g} standard errors from 0; "
        f"chance alone makes one of them {SURE:g} in at most {100 * rate:.2g} % of runs"
    )
    return Claim(text, bool(largest < SURE), evidence)


def _some(text: str, values: Estimate[Array]) -> None:
    if not values.mean.size:
        raise BadInput(f"expected numbers to judge by whether {text}, got none; the sweep has too few cells")
