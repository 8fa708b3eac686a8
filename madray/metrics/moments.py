"""Mean, covariance and its root, in float64, as collapse needs them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from madray.metrics.features import Features

Array = NDArray[np.float64]

CELLS = 2**22
"""How many numbers are turned into float64 at once."""


def mean(features: Features) -> Array:
    """The mean, shape (d,). That of equal samples is the sample itself, to the last bit.

    >>> float(mean(np.full((3, 1), 0.1))[0])
    0.1
    """
    first: Array = features[0].astype(np.float64)
    total = np.zeros_like(first)
    for part in less(features, first):
        total += part.sum(axis=0)
    mu: Array = first + total / len(features)
    return mu


def mean_and_covariance(features: Features) -> tuple[Array, Array]:
    """The mean, shape (d,), and the unbiased covariance, shape (d, d), of features of shape (n, d).

        Σ = Σ_i (x_i - μ)(x_i - μ)ᵀ / (n - 1)

    One sample alone has covariance 0: it is what a model that knows one point looks like.

    >>> mean_and_covariance(np.array([[0.0, 1.0], [2.0, 1.0]]))
    (array([1., 1.]), array([[2., 0.],
           [0., 0.]]))
    """
    mu = mean(features)
    scatter = np.zeros((mu.size, mu.size))
    for part in less(features, mu):
        scatter += part.T @ part
    return mu, scatter / max(1, len(features) - 1)


def root(covariance: Array) -> Array:
    """L with L Lᵀ = Σ, shape (d, d), by symmetric eigenvalues: Σ may be singular, where Cholesky fails.

    Eigenvalues within rounding of 0 are 0.

    Args:
        covariance: Σ, shape (d, d), symmetric, without negative eigenvalues.

    Raises: ValueError, if it is not such a matrix.

    >>> L = root(np.array([[1.0, 1.0], [1.0, 1.0]]))
    >>> np.allclose(L @ L.T, 1)
    True
    """
    covariance = np.asarray(covariance, np.float64)
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise ValueError(
            f"expected a covariance of shape (d, d), got {covariance.shape}, "
            "try numpy.cov(features, rowvar=False)"
        )
    if not np.isfinite(covariance).all():
        raise ValueError("expected a finite covariance, got NaN or infinity, try to drop such samples")
    rounding = 1e-8 * np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > rounding:
        raise ValueError("expected a symmetric covariance, got another matrix, try (S + S.T) / 2")
    spectrum, vectors = np.linalg.eigh(covariance)
    if spectrum[0] < -rounding * len(spectrum):
        raise ValueError(
            f"expected a covariance without negative eigenvalues, got {spectrum[0]:g}, "
            "try numpy.cov(features, rowvar=False)"
        )
    return vectors * np.sqrt(without_rounding(spectrum))


def without_rounding(spectrum: Features) -> Array:
    """Eigenvalues of a matrix that has none below 0, with what is rounding alone set to 0.

    The root of a rounding error of 1e-16 would be 1e-8, as many times as there are lost dimensions.
    """
    noise = len(spectrum) * np.finfo(np.float64).eps * spectrum.max()
    return np.where(spectrum > noise, spectrum, 0.0).astype(np.float64)


def less(features: Features, centre: Array) -> Iterator[Array]:
    """features - centre in float64, part by part: memory does not double."""
    rows = max(1, CELLS // features.shape[1])
    for start in range(0, len(features), rows):
        yield features[start : start + rows].astype(np.float64) - centre
