"""A Gaussian fitted to samples that are never drawn: means and scatters of groups are enough.

Of n samples of N(μ, V) the mean is N(μ, V/n), and the scatter Σ_i (x_i − x̄)(x_i − x̄)ᵀ is Wishart(V, n − 1),
independent of it. With V = L Lᵀ the scatter is L B Bᵀ Lᵀ, where B is Bartlett's lower triangle: the root of a
χ² with n − 1 − i degrees of freedom at the place i = 0, 1, … of the diagonal, and standard normals below it.
With k ≤ n − 1 degrees of freedom fewer than dimensions it is a trapezoid of k columns. So a fit costs O(d³),
and O(d²) random numbers, whatever n is.

For one replicate on a CPU: BLAS and LAPACK called for one matrix at a time. `madray.theory.batched` does the
same for many replicates at once.

Source: Bartlett 1933; Anderson 2003, An Introduction to Multivariate Statistical Analysis, theorem 7.2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from madray.theory.estimate import Array


@dataclass(frozen=True)
class Model:
    """N(μ, Σ) with Σ = L Lᵀ.

    Attributes:
        mean: μ, shape (d,).
        root: L, shape (d, k), Fortran order: lower triangular where k = d, any matrix where k < d.
    """

    mean: Array
    root: Array

    def gram(self) -> Array:
        """The lower triangle of LᵀL, whose eigenvalues, and zeros, are those of Σ; zeros above it."""
        d, k = self.root.shape
        gram: Array
        if k == d:
            gram, _ = lapack.dlauum(self.root, lower=1)
        else:
            gram = blas.dsyrk(1.0, self.root, trans=1, lower=1)
        return gram


@dataclass(frozen=True)
class Group:
    """What a fit needs to know of n samples.

    Attributes:
        mean: their mean, shape (d,).
        columns: M with scatter M Mᵀ, shape (d, k), Fortran order: lower triangular where k = d, any matrix
            where k < d; k = 0 for one sample.
    """

    n: int
    mean: Array
    columns: Array


def draw_standard(d: int, n: int, rng: np.random.Generator) -> Group:
    """n samples of N(0, I_d)."""
    mean = rng.standard_normal(d) / np.sqrt(n)
    return Group(n, mean, bartlett(d, n - 1, rng))


def draw_from(model: Model, n: int, bias: float, rng: np.random.Generator) -> Group:
    """n samples of N(μ, λΣ)."""
    d, k = model.root.shape
    mean = model.mean + model.root @ (rng.standard_normal(k) * np.sqrt(bias / n))
    factor = bartlett(k, n - 1, rng)
    scale = np.sqrt(bias)
    if k == d and factor.shape[1] == d:
        return Group(n, mean, blas.dtrmm(scale, model.root, factor, lower=1, overwrite_b=1))
    if factor.shape[1] == 0:
        return Group(n, mean, np.zeros((d, 0), order="F"))
    return Group(n, mean, blas.dgemm(scale, model.root, factor))


def merge(groups: Sequence[Group]) -> Group:
    """The samples of several groups as one group."""
    n = sum(group.n for group in groups)
    mean = np.asarray(sum(group.n * group.mean for group in groups)) / n
    between = np.stack([np.sqrt(group.n) * (group.mean - mean) for group in groups], axis=1)
    columns = [group.columns for group in groups]
    if len(groups) > 1:
        columns.append(np.asfortranarray(between))
    return Group(n, mean, _compact(columns))


def fit(groups: Sequence[Group]) -> Model:
    """Mean and unbiased covariance of all samples of the groups together, 2 or more."""
    whole = merge(groups)
    return Model(whole.mean, whole.columns / np.sqrt(whole.n - 1))


def _compact(columns: Sequence[Array]) -> Array:
    """One matrix for several, M Mᵀ = Σ M_g M_gᵀ: a lower triangle, or less than d columns."""
    if len(columns) == 1:
        return columns[0]
    d = len(columns[0])
    if sum(each.shape[1] for each in columns) < d:
        return np.asfortranarray(np.concatenate(columns, axis=1))
    scatter = np.zeros((d, d), order="F")
    for each in columns:
        if each.shape[1]:
            scatter = blas.dsyrk(1.0, each, beta=1.0, c=scatter, lower=1, overwrite_c=1)
    root, failed = lapack.dpotrf(scatter, lower=1, clean=1, overwrite_a=1)
    if failed:  # singular to working precision, as a collapsing model is: Rᵀ of all columns, which costs more
        root = np.linalg.qr(np.concatenate(columns, axis=1).T)[1].T
    return np.asfortranarray(root)


def bartlett(d: int, freedom: int, rng: np.random.Generator) -> Array:
    """B with B Bᵀ ~ Wishart(I_d, k), shape (d, min(d, k)), in Fortran order, for k = `freedom` ≥ 0."""
    rank = min(d, freedom)
    below, diagonal, steps = _places(d, rank)
    factor = np.zeros(d * rank)
    factor[below] = rng.standard_normal(below.size)
    factor[diagonal] = np.sqrt(rng.chisquare(freedom - steps))
    return factor.reshape((d, rank), order="F")


@lru_cache(maxsize=256)
def _places(d: int, rank: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Places below and on the diagonal of a (d, rank) matrix in Fortran order, and 0, 1, …, rank − 1."""
    mask = np.tri(d, rank, -1, dtype=bool)
    steps = np.arange(rank)
    return np.flatnonzero(mask.ravel(order="F")), steps * (d + 1), steps.astype(float)
