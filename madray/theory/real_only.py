"""E W2² and E W2 of a Gaussian fitted to n real samples, and its inverse: the effective sample size.

Σ is Wishart(I_d, n − 1)/(n − 1). Its eigenvalues, all that W2² asks of it, are those of B Bᵀ for a bidiagonal
B with independent χ on its two diagonals, of n − 1, n − 2, … and d − 1, d − 2, … degrees of freedom: O(d)
random numbers a draw. With n − 1 < d the two numbers change places, and d − n + 1 more eigenvalues are 0. The
mean over draws is taken with control variates whose means are known: |μ|², and of Σ, with k = n − 1,

    E tr(Σ − I) = 0      E tr(Σ − I)² = d(d + 1)/k      E tr(Σ − I)³ = d(d² + 3d + 4)/k²

Source: Dumitriu and Edelman 2002 (the bidiagonal form, β = 1); Eq. 4 of Alemohammad et al. 2023 (n_e).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import overload

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.linalg import lapack

from madray.streams import Stream
from madray.theory.controls import controlled_mean
from madray.theory.estimate import Array, Estimate
from madray.theory.loop import at_least

TABLE = "real_only.csv"
"""d, n, E W2² and E W2; made by `analysis/tabulate_real_only.py`."""

TABLE_RTOL = 3e-4
"""Standard error of a table's numbers, relative to them, at the most."""

_DRAWS = 200
_STACKED_BELOW = 16
"""Below this dimension many small matrices at once are faster than one tridiagonal one after the other."""

_LARGEST = 10**7


def real_only_w2_squared(d: int, n: int, *, rtol: float = 1e-4) -> Estimate[float]:
    """E W2² between N(μ, Σ) fitted to n real samples and N(0, I_d), to a relative precision.

    Raises: ValueError, if d < 1 or n < 2.

    >>> import math
    >>> found = real_only_w2_squared(1, 50)  # in one dimension E √Σ = √(2/49) Γ(25)/Γ(24.5)
    >>> exact = 1 / 50 + 2 - 2 * math.sqrt(2 / 49) * math.exp(math.lgamma(25) - math.lgamma(24.5))
    >>> abs(found.mean - exact) < 4 * found.standard_error
    True
    """
    return _real_only(d, n, rtol, _unchanged)


def real_only_w2(d: int, n: int, *, rtol: float = 1e-4) -> Estimate[float]:
    """As `real_only_w2_squared`, of W2, the root taken before the mean."""
    return _real_only(d, n, rtol, np.sqrt)


@overload
def effective_sample_size(w2_squared: float, d: int) -> float: ...
@overload
def effective_sample_size(w2_squared: Array, d: int) -> Array: ...
@overload
def effective_sample_size(w2_squared: Estimate[float], d: int) -> Estimate[float]: ...
@overload
def effective_sample_size(w2_squared: Estimate[Array], d: int) -> Estimate[Array]: ...


def effective_sample_size(
    w2_squared: float | Array | Estimate[float] | Estimate[Array], d: int
) -> float | Array | Estimate[float] | Estimate[Array]:
    """n_e: how many real samples alone give a model as good, in E W2² (Eq. 4 of the paper).

    Args:
        w2_squared: E W2², a number, an array, or an `Estimate`, whose standard error is carried on; that of
            the table, at most 0.03 %, is not in it.
        d: dimension.

    Returns: n_e, 2 or more, of the kind that was given; not an integer in general. NaN where W2² is larger
        than that of n = 2, and infinite for 0.

    Raises: ValueError, if W2² < 0 or d < 1.

    >>> round(effective_sample_size(real_only_w2_squared(100, 500).mean, 100))
    500
    """
    return _carried(curve(d), "w2_squared", w2_squared)


@overload
def effective_sample_size_of_w2(w2: float, d: int) -> float: ...
@overload
def effective_sample_size_of_w2(w2: Array, d: int) -> Array: ...
@overload
def effective_sample_size_of_w2(w2: Estimate[float], d: int) -> Estimate[float]: ...
@overload
def effective_sample_size_of_w2(w2: Estimate[Array], d: int) -> Estimate[Array]: ...


def effective_sample_size_of_w2(
    w2: float | Array | Estimate[float] | Estimate[Array], d: int
) -> float | Array | Estimate[float] | Estimate[Array]:
    """As `effective_sample_size`, for those who take E W2, not E W2², for the distance of Eq. 4.

    >>> round(effective_sample_size_of_w2(real_only_w2(100, 500).mean, 100))
    500
    """
    return _carried(curve(d), "w2", w2)


@dataclass(frozen=True)
class Curve:
    """E W2² and E W2 over n, at the n of a table; between them by monotone splines in logarithms."""

    n: Array
    w2_squared: Array
    w2: Array

    @cached_property
    def _inverses(self) -> dict[str, PchipInterpolator]:
        # Both fall with n, and splines ask for what rises.
        return {
            name: PchipInterpolator(np.log(distance[::-1]), np.log(self.n[::-1]))
            for name, distance in (("w2_squared", self.w2_squared), ("w2", self.w2))
        }

    def sample_size(self, name: str, distance: Array) -> tuple[Array, Array]:
        """n at which a distance is reached, and dn/d(distance). Beyond the table's largest n W2² ∝ 1/n."""
        table = self.w2_squared if name == "w2_squared" else self.w2
        power = -1.0 if name == "w2_squared" else -2.0
        inverse = self._inverses[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(np.clip(distance, table[-1], table[0]))
            inside, slope = np.exp(inverse(log)), inverse(log, 1)
            beyond = self.n[-1] * (distance / table[-1]) ** power
            n = np.where(distance < table[-1], beyond, inside)
            n = np.where(distance > table[0], np.nan, n)
            return n, n * np.where(distance < table[-1], power, slope) / distance


@lru_cache(maxsize=64)
def curve(d: int) -> Curve:
    """The curve of a dimension: of the shipped table, or where it is not in there, made in some seconds."""
    at_least("d", d, 1)
    with (files("madray.theory") / TABLE).open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["d"]) == d]
    if not rows:
        return tabulate(d)
    return Curve(*(np.array([float(row[name]) for row in rows]) for name in ("n", "w2_squared", "w2")))


def tabulate(d: int) -> Curve:
    """The curve of a dimension, made anew."""
    rows = list(table_rows(d))
    n, w2_squared, w2 = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    return Curve(n, w2_squared, w2)


def table_rows(d: int) -> Iterator[tuple[int, float, float]]:
    """n, E W2² and E W2, their standard errors at most TABLE_RTOL of them: all small n, then 16 a decade."""
    spaced = np.round(np.geomspace(2, _LARGEST, 108)).astype(int).tolist()
    for n in sorted({*range(2, 13), *spaced}):
        yield (
            n,
            real_only_w2_squared(d, n, rtol=TABLE_RTOL).mean,
            real_only_w2(d, n, rtol=TABLE_RTOL).mean,
        )


def _carried(
    curve: Curve, name: str, given: float | Array | Estimate[float] | Estimate[Array]
) -> float | Array | Estimate[float] | Estimate[Array]:
    mean = given.mean if isinstance(given, Estimate) else given
    distance = np.asarray(mean, dtype=float)
    if (distance < 0).any():
        raise ValueError(f"{name}: expected 0 or more, got {distance.min():g}")
    n, slope = curve.sample_size(name, distance)
    if not isinstance(given, Estimate):
        return n if isinstance(mean, np.ndarray) else float(n)
    error = np.abs(slope) * given.standard_error
    if isinstance(mean, np.ndarray):
        return Estimate(n, error)
    return Estimate(float(n), float(error))


@lru_cache(maxsize=4096)
def _real_only(d: int, n: int, rtol: float, of: Callable[[Array], Array]) -> Estimate[float]:
    """The mean of a function of W2², from as many draws as its precision takes, and always from the same."""
    at_least("d", d, 1)
    at_least("n", n, 2)
    rng = Stream.of("theory", "real only", d, n).numpy()
    k = n - 1
    known = np.array([d / n, 0.0, d * (d + 1) / k, d * (d**2 + 3 * d + 4) / k**2])
    rows = np.empty((0, 5))
    while True:
        rows = np.concatenate([rows, _draws(d, n, max(_DRAWS, len(rows)), rng)])
        found = controlled_mean(of(rows[:, 0]), rows[:, 1:] - known)
        if found.standard_error <= rtol * found.mean:
            return found


def _unchanged(w2_squared: Array) -> Array:
    return w2_squared


def _draws(d: int, n: int, draws: int, rng: np.random.Generator) -> Array:
    """W2², |μ|², and tr(Σ − I), tr(Σ − I)², tr(Σ − I)³ of some draws, shape (draws, 5)."""
    spectra = np.zeros((draws, d))
    found = _spectra(d, n - 1, draws, rng)
    spectra[:, : found.shape[1]] = found
    apart = spectra - 1
    norm = rng.chisquare(d, draws) / n
    w2_squared = norm + np.square(np.sqrt(spectra) - 1).sum(axis=1)
    return np.column_stack([w2_squared, norm, *((apart**power).sum(axis=1) for power in (1, 2, 3))])


def _spectra(d: int, freedom: int, draws: int, rng: np.random.Generator) -> Array:
    """The eigenvalues of Wishart(I_d, k)/k but for its zeros, by the bidiagonal form: (draws, min(d, k))."""
    small, large = sorted((d, freedom))
    diagonal = rng.chisquare(large - np.arange(small), (draws, small))
    below = rng.chisquare(small - np.arange(1.0, small), (draws, small - 1))
    main = diagonal.copy()
    main[:, 1:] += below
    beside = np.sqrt(below * diagonal[:, :-1])
    if small < _STACKED_BELOW:
        matrices = np.zeros((draws, small, small))
        places = np.arange(small)
        matrices[:, places, places] = main
        matrices[:, places[1:], places[:-1]] = beside
        values = np.linalg.eigvalsh(matrices, UPLO="L")
    else:
        values = np.array([_eigenvalues(*each) for each in zip(main, beside, strict=True)])
    return np.asarray(np.maximum(values, 0.0) / freedom)


def _eigenvalues(main: Array, beside: Array) -> Array:
    values, failed = lapack.dsterf(main, beside)
    if failed:
        raise ArithmeticError(f"expected eigenvalues of a tridiagonal matrix, LAPACK found none ({failed})")
    return np.asarray(values)
