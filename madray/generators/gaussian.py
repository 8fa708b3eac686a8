"""N(μ, Σ): the model whose self-consuming loop is known in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from madray.generators.folders import read_model, write_model
from madray.generators.protocol import NO_CHECKPOINT, Checkpoint, Progress, check_bias, no_progress
from madray.generators.vectors import Frame
from madray.samples import SampleSet
from madray.spec.generators import Gaussian
from madray.streams import Stream

Array = NDArray[np.float64]


class GaussianGenerator:
    """The sample mean and the unbiased sample covariance of n samples of d numbers.

        μ = Σ_i x_i / n,   Σ = Σ_i (x_i − μ)(x_i − μ)ᵀ / (n − 1)

    λ samples N(μ, λΣ); λ = 0 repeats μ. One sample, or equal ones, give Σ = 0: a result, no error.
    Of one stream, data in other units give the same samples in these units, coordinate by coordinate.
    Images are vectors of pixels / 255, and are sampled as images: rounded and clipped to bytes.
    Samples carry no labels, whatever the training set carried.

    Source: Alemohammad et al. 2023 (arXiv:2307.01850), the Gaussian example; λ from its section on
    sampling bias.

    >>> model = GaussianGenerator(Gaussian())
    >>> points = SampleSet(np.float32([[0, 0], [2, 4]]))
    >>> model.fit(points, stream=Stream.of(0))
    >>> model.mean, model.covariance
    (array([1., 2.]), array([[2., 4.],
           [4., 8.]]))
    >>> model.sample(2, bias=0.0, stream=Stream.of(1)).values
    array([[1., 2.],
           [1., 2.]], dtype=float32)
    """

    mean: Array
    """μ, shape (d,), float64."""
    covariance: Array
    """Σ, shape (d, d), float64."""

    def __init__(self, settings: Gaussian) -> None:
        self.settings = settings

    def fit(
        self,
        samples: SampleSet,
        *,
        stream: Stream,
        checkpoint: Checkpoint = NO_CHECKPOINT,
        progress: Progress = no_progress,
    ) -> None:
        """Take the moments of the samples, in float64. Nothing is random, and nothing worth a checkpoint."""
        points = samples.flat().astype(np.float64)
        self.mean = points.mean(axis=0)
        points -= self.mean
        # `A.T @ A` of one array is what NumPy hands to BLAS as the symmetric product, half the work.
        self.covariance = points.T @ points / max(len(points) - 1, 1)
        self._frame = Frame.around(samples)
        self._root: NDArray[np.float32] | None = None

    def sample(
        self, n: int, *, bias: float, stream: Stream, labels: NDArray[np.int64] | None = None
    ) -> SampleSet:
        """n samples of N(μ, λΣ): x = μ + √λ R z with R the root of Σ and z ~ N(0, 1).

        R = D C^½, where D holds the standard deviations and C the correlations: unlike the symmetric root
        of Σ, its rows depend on no unit but their own, and singular Σ are no trouble.

        Returns: values of shape (n, *shape), float32 (uint8 of images), without labels.

        Raises: BadInput, if λ is outside [0, 1].
        """
        check_bias(bias)
        if self._root is None:
            self._root = root_by_correlations(self.covariance).astype(np.float32)
        noise = stream.numpy().standard_normal((n, self.mean.size), dtype=np.float32)
        points = noise @ (np.float32(bias**0.5) * self._root.T)
        points += self.mean.astype(np.float32)
        return self._frame.samples(points)

    @property
    def classes(self) -> int | None:
        """None: the model knows no labels."""
        return None

    def save(self, folder: Path) -> None:
        """Write μ and Σ."""
        write_model(folder, {"mean": self.mean, "covariance": self.covariance}, self._frame.told())

    def load(self, folder: Path) -> None:
        """Become what was saved there.

        Raises: Damaged, if it is not whole.
        """
        arrays, told = read_model(folder, arrays=["mean", "covariance"], told=["shape", "image"])
        self.mean, self.covariance = arrays["mean"], arrays["covariance"]
        self._frame = Frame.read(told)
        self._root = None


def root_by_correlations(covariance: Array) -> Array:
    """R = D C^½ with R Rᵀ = Σ, D the standard deviations and C the correlations; shape (d, d).

    Data in other units, A x with A diagonal, have the root A R. A coordinate without variance has a row of 0.

    >>> root_by_correlations(np.array([[4.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 0.0]]))
    array([[2., 0., 0.],
           [0., 3., 0.],
           [0., 0., 0.]])
    """
    deviations = np.sqrt(covariance.diagonal())[:, np.newaxis]
    units = np.where(deviations > 0, deviations, 1.0)
    root: Array = deviations * symmetric_root(covariance / units / units.T)
    return root


def symmetric_root(covariance: Array) -> Array:
    """R with R R = Σ and R = Rᵀ, by the eigenvectors of Σ; shape (d, d), or a stack (…, d, d).

    Eigenvalues that rounding made negative count as 0, so Σ may be singular, or 0 altogether, where a
    Cholesky factor fails.

    >>> symmetric_root(np.array([[4.0, 0.0], [0.0, 0.0]]))
    array([[2., 0.],
           [0., 0.]])
    """
    spectrum, vectors = np.linalg.eigh(covariance)
    root: Array = (vectors * np.sqrt(spectrum.clip(min=0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return root
