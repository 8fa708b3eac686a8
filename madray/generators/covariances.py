"""Covariances of the components of a mixture, by their roots: four shapes, of two kinds of arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from madray.generators.standard import Standard

Array = NDArray[np.float64]


class Covariances(Protocol):
    """Σ_k = L_k L_kᵀ of k components in d dimensions.

    z = L_k⁻¹ (x − μ_k) is the frame of component k, in which it is a standard normal.
    """

    @property
    def roots(self) -> Array:
        """All that has to be kept."""

    @property
    def half_log_det(self) -> Array:
        """½ log det Σ_k, shape (k,), or (1,) where they are equal."""

    def inwards(self, points: Array, means: Array) -> Array:
        """z of points of shape (d, n), shape (k, d, n)."""

    def outwards(self, z: Array) -> Array:
        """L_k z of one z a component; shapes (k, d)."""

    def squares(self, z: Array, r: Array) -> Array:
        """Σ_n r_n z_n z_nᵀ of each component, or its diagonal, of z of shape (k, d, n) and r of (k, n)."""

    def around(self, count: Array, mean: Array, squares: Array) -> Array:
        """L_k (S_k / N_k − m_k m_kᵀ) L_kᵀ, or its diagonal: the covariances of sets of N_k points with mean
        m_k and sums of squares S_k, told in the frame of each component."""

    def coloured(self, noise: Array, chosen: NDArray[np.intp]) -> Array:
        """L_k z of z of shape (n, d), each for its component."""

    def scaled(self, by: float) -> Covariances:
        """by · Σ_k."""

    def matrices(self) -> Array:
        """Σ_k, shape (k, d, d), or (1, d, d) where they are equal."""


@dataclass(frozen=True)
class Matrices:
    """Covariances by roots of shape (k, d, d), or (1, d, d) of one for all, whose columns are orthogonal.

    >>> Matrices.above(np.array([[[4.0, 0.0], [0.0, 0.0]]]), 1.0).matrices().tolist()
    [[[4.0, 0.0], [0.0, 1.0]]]
    """

    roots: Array

    @staticmethod
    def equal(variance: float, d: int) -> Matrices:
        """`variance` · 1 for all."""
        return Matrices(variance**0.5 * np.eye(d)[np.newaxis])

    @staticmethod
    def above(covariances: Array, floor: float) -> Matrices:
        """Of covariances whose eigenvalues are raised to the floor where they lie below it."""
        spectrum, vectors = np.linalg.eigh(covariances)
        return Matrices(vectors * np.sqrt(spectrum.clip(min=floor))[:, np.newaxis])

    @cached_property
    def _spectrum(self) -> Array:
        spectrum: Array = np.square(self.roots).sum(axis=1)
        return spectrum

    @cached_property
    def _inverse(self) -> Array:
        return np.swapaxes(self.roots, 1, 2) / self._spectrum[:, :, np.newaxis]

    @property
    def half_log_det(self) -> Array:
        half: Array = np.log(self._spectrum).sum(axis=1) / 2
        return half

    def inwards(self, points: Array, means: Array) -> Array:
        # One product of matrices for all components. Its digits are as many as of x/σ, which is enough: a
        # squared distance by |x|² − 2xμ + |μ|² would have as many as of (x/σ)².
        k, d, _ = self._inverse.shape
        whitened = (self._inverse.reshape(k * d, d) @ points).reshape(k, d, points.shape[1])
        place = whitened if k == len(means) else None  # one for all makes as many as there are means
        z: Array = np.subtract(whitened, self._inverse @ means[:, :, np.newaxis], out=place)
        return z

    def outwards(self, z: Array) -> Array:
        x: Array = (self.roots @ z[:, :, np.newaxis])[:, :, 0]
        return x

    def squares(self, z: Array, r: Array) -> Array:
        squares: Array = (z * r[:, np.newaxis]) @ np.swapaxes(z, 1, 2)
        return squares

    def around(self, count: Array, mean: Array, squares: Array) -> Array:
        spread = squares / count[:, np.newaxis, np.newaxis] - mean[:, :, np.newaxis] * mean[:, np.newaxis]
        covariances: Array = self.roots @ spread @ np.swapaxes(self.roots, 1, 2)
        return covariances

    def coloured(self, noise: Array, chosen: NDArray[np.intp]) -> Array:
        if len(self.roots) == 1:
            x: Array = noise @ self.roots[0].T
            return x
        x = np.empty_like(noise)
        ends = np.cumsum(np.bincount(chosen, minlength=len(self.roots)))
        groups = np.split(np.argsort(chosen, kind="stable"), ends[:-1])
        for root, mine in zip(self.roots, groups, strict=True):
            x[mine] = noise[mine] @ root.T
        return x

    def scaled(self, by: float) -> Matrices:
        return Matrices(by**0.5 * self.roots)

    def matrices(self) -> Array:
        matrices: Array = self.roots @ np.swapaxes(self.roots, 1, 2)
        return matrices


@dataclass(frozen=True)
class Diagonals:
    """Diagonal covariances by roots of shape (k, d), or (1, d) of one for all: standard deviations.

    >>> Diagonals.above(np.array([[4.0, 0.0]]), 1.0).roots.tolist()
    [[2.0, 1.0]]
    """

    roots: Array

    @staticmethod
    def equal(variance: float, d: int) -> Diagonals:
        """`variance` · 1 for all."""
        return Diagonals(np.full((1, d), variance**0.5))

    @staticmethod
    def above(covariances: Array, floor: float) -> Diagonals:
        """Of variances, raised to the floor where they lie below it."""
        return Diagonals(np.sqrt(covariances.clip(min=floor)))

    @property
    def half_log_det(self) -> Array:
        half: Array = np.log(self.roots).sum(axis=1)
        return half

    def inwards(self, points: Array, means: Array) -> Array:
        z: Array = points - means[:, :, np.newaxis]
        z /= self.roots[:, :, np.newaxis]
        return z

    def outwards(self, z: Array) -> Array:
        return self.roots * z

    def squares(self, z: Array, r: Array) -> Array:
        squares: Array = np.einsum("kdn,kdn->kd", z * r[:, np.newaxis], z)
        return squares

    def around(self, count: Array, mean: Array, squares: Array) -> Array:
        variances: Array = np.square(self.roots) * (squares / count[:, np.newaxis] - np.square(mean))
        return variances

    def coloured(self, noise: Array, chosen: NDArray[np.intp]) -> Array:
        return noise * self.roots[chosen]

    def scaled(self, by: float) -> Diagonals:
        return Diagonals(by**0.5 * self.roots)

    def matrices(self) -> Array:
        matrices: Array = np.square(self.roots)[:, :, np.newaxis] * np.eye(self.roots.shape[1])
        return matrices


@dataclass(frozen=True)
class Shape:
    """What covariances may look like.

    Attributes:
        kind: of their arithmetic.
        standard: what makes coordinates of about 1 of a training set, and leaves covariances of this shape.
        restricted: what the covariances that each component would have by itself become, given the weights.
    """

    kind: type[Matrices] | type[Diagonals]
    standard: Callable[[NDArray[np.float32]], Standard]
    restricted: Callable[[Array, Array], Array]


def _each(covariances: Array, weights: Array) -> Array:
    return covariances


def _shared(covariances: Array, weights: Array) -> Array:
    shared: Array = np.tensordot(weights, covariances, axes=1)[np.newaxis]
    return shared


def _round(covariances: Array, weights: Array) -> Array:
    d = covariances.shape[1]
    return np.broadcast_to(covariances.sum(axis=1, keepdims=True) / max(d, 1), covariances.shape)


SHAPES = {
    "full": Shape(Matrices, Standard.of, _each),
    "tied": Shape(Matrices, Standard.of, _shared),
    "diag": Shape(Diagonals, Standard.of, _each),
    "spherical": Shape(Diagonals, Standard.in_one_unit, _round),
}
"""By their names in `madray.spec.generators.GMM`."""
