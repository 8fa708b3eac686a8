"""References with a known density: draws never end, and metrics can be exact.

Every draw takes its random numbers in the order of its samples, so fewer samples are the beginning of
more, bit for bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madray.errors import BadInput
from madray.samples import SampleSet
from madray.spec.references import GMM25, Gaussian, Rosenbrock
from madray.streams import Stream

Array = NDArray[np.float64]

ROWS = 1024
"""How many samples meet a covariance's root at once: a matrix product's bits change with its height."""


class GaussianReference:
    """N(μ, Σ) in d dimensions.

        x = μ + Σ^½ z,  z ~ N(0, I)

    with the symmetric root, which is unique: a diagonal matrix gives the samples of its diagonal.

    Attributes:
        mean: μ, shape (d,), float64.
        covariance: Σ, shape (d, d), float64; may be singular.

    Raises: BadInput, if Σ is not symmetric or has a negative eigenvalue, or shapes do not agree on d.

    >>> reference = GaussianReference(Gaussian(d=2, mean=1, covariance=[4, 0]))
    >>> reference.covariance.tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    >>> reference.draw(3, Stream.of(0, 1, "real")).values[:, 1].tolist()
    [1.0, 1.0, 1.0]
    """

    classes: int | None = None
    size: int | None = None

    def __init__(self, settings: Gaussian) -> None:
        if fault := settings.fault():  # settings that were copied with an update were not checked
            raise BadInput(f"expected {fault[0]}, got {fault[1]}, try `covariance: 1`, the identity")
        given = np.asarray(settings.covariance, np.float64)
        self.shape: tuple[int, ...] = (settings.d,)
        self.mean: Array = np.broadcast_to(np.asarray(settings.mean, np.float64), self.shape).copy()
        self.covariance: Array = (
            (given + given.T) / 2 if given.ndim == 2 else np.diag(np.broadcast_to(given, self.shape))
        )
        self._root = _root(self.covariance)

    def draw(self, n: int, stream: Stream) -> SampleSet:
        """n samples, shape (n, d), float32.

        Raises: BadInput, if n is negative.
        """
        _check_count(n)
        d = self.mean.size
        normals = stream.numpy()
        if self._root.ndim == 1:
            values = self.mean + self._root * normals.standard_normal((n, d))
            return SampleSet(values.astype(np.float32))
        values = np.empty((n, d))
        for start in range(0, n, ROWS):
            made = self.mean + normals.standard_normal((ROWS, d)) @ self._root
            values[start : start + ROWS] = made[: n - start]
        return SampleSet(values.astype(np.float32))


class GMM25Reference:
    """25 Gaussian modes of one weight and one width on a 5 × 5 grid in the plane, centred at 0.

        p(x) = 1/25 Σ_k N(x; μ_k, σ² I),  μ_k ∈ s · {−2, −1, 0, 1, 2}²

    The label of a sample is its mode k = 5 · column + row. s and σ are ours; Che et al. 2020
    (arXiv:2003.06060) use s = 2 and σ = 0.05.

    Attributes:
        means: μ_k, shape (25, 2), float64.
        std: σ.

    >>> reference = GMM25Reference(GMM25())
    >>> reference.means[[0, 1, 5, 24]].tolist()
    [[-4.0, -4.0], [-4.0, -2.0], [-2.0, -4.0], [4.0, 4.0]]
    """

    shape: tuple[int, ...] = (2,)
    classes: int | None = 25
    size: int | None = None

    def __init__(self, settings: GMM25) -> None:
        ticks = settings.spacing * np.arange(-2.0, 3.0)
        self.means: Array = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(25, 2)
        self.std = settings.std

    def draw(self, n: int, stream: Stream) -> SampleSet:
        """n samples, shape (n, 2), float32, and their modes as labels, shape (n,), int64.

        Raises: BadInput, if n is negative.
        """
        _check_count(n)
        # Two streams: one would hand the normals other numbers as n grows.
        labels = stream.child("labels").numpy().integers(25, size=n)
        normals = stream.child("normals").numpy().standard_normal((n, 2))
        values = self.means[labels] + self.std * normals
        return SampleSet(values.astype(np.float32), labels, 25)


class RosenbrockReference:
    """The banana of the paper's Figure 17, in the plane.

        p(x) = exp(−x₁²/2 − (x₂ − x₁²)²) / (π √2)

    It is drawn from exactly. Given x₁, the second term is a Gaussian in x₂ around x₁² whose integral,
    √π, does not depend on x₁; what is left over x₁ is exp(−x₁²/2). So

        x₁ ~ N(0, 1),  x₂ | x₁ ~ N(x₁², 1/2)

    and E x = (0, 1), Var x₁ = 1, Var x₂ = Var x₁² + 1/2 = 5/2, Cov(x₁, x₂) = E x₁³ = 0.

    >>> RosenbrockReference(Rosenbrock()).draw(4, Stream.of(0, 1, "real")).values.shape
    (4, 2)
    """

    shape: tuple[int, ...] = (2,)
    classes: int | None = None
    size: int | None = None

    def __init__(self, settings: Rosenbrock) -> None:
        self.settings = settings

    def draw(self, n: int, stream: Stream) -> SampleSet:
        """n samples, shape (n, 2), float32.

        Raises: BadInput, if n is negative.
        """
        _check_count(n)
        normals = stream.numpy().standard_normal((n, 2))
        x1 = normals[:, 0]
        x2 = x1**2 + np.sqrt(0.5) * normals[:, 1]
        return SampleSet(np.stack([x1, x2], axis=1).astype(np.float32))


def _root(covariance: Array) -> Array:
    """The symmetric root, shape (d, d); of a diagonal covariance its diagonal alone, shape (d,)."""
    variances = np.diag(covariance)
    if np.count_nonzero(covariance) == np.count_nonzero(variances):
        diagonal: Array = np.sqrt(variances)
        return diagonal
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root: Array = (vectors * np.sqrt(eigenvalues.clip(min=0))) @ vectors.T
    return root


def _check_count(n: int) -> None:
    if n < 0:
        raise BadInput(f"expected a draw of 0 samples or more, got {n}, try n = 1")
