"""A mixture of Gaussians, Σ_k π_k N(μ_k, Σ_k), fitted by expectation maximization."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from madray.generators.covariances import SHAPES
from madray.generators.folders import read_model, write_model
from madray.generators.mixture import Mixture, begin, distinct, maximise
from madray.generators.protocol import NO_CHECKPOINT, Checkpoint, Progress, check_bias, no_progress
from madray.generators.seeding import spread_centres
from madray.generators.standard import Standard
from madray.generators.vectors import Frame
from madray.samples import SampleSet
from madray.spec.generators import GMM
from madray.streams import Stream

Array = NDArray[np.float64]

TRIAL_STEPS = 2
"""Of EM, after which the likeliest of several starts is known well enough: a component that k-means++ laid
across two clusters stays there. The second step tells the likelihood of where the first one came to."""


class GMMGenerator:
    """p(x) = Σ_k π_k N(x; μ_k, Σ_k), by EM from the likeliest of some k-means++ starts.

    λ samples component k, with its weight π_k unchanged, from N(μ_k, λΣ_k); λ = 0 gives the centres
    alone. That reading of λ for a mixture is ours. A training set of fewer distinct points than
    components gets as many components as it has points.

    Coordinates are standardised one by one, or all by one unit where components are spheres; one that never
    varies in the training set comes back as it is. The variance of a component along any direction is at
    least `regularization` in these units, so the floor shrinks with the data: a loop's variance does not stop
    at it. Images are vectors of pixels / 255, as in `GaussianGenerator`. Samples carry no labels.

    EM is our own (`madray.generators.mixture`): scikit-learn's goes the same steps to the same likelihood,
    but for 25 components in the plane they take eight times as long; `analysis/bench/gmm_chain.py` measures
    both.

    Source: Alemohammad et al. 2023 (arXiv:2307.01850), appendix B.2; that short runs of EM choose the start
    of a long one is Biernacki, Celeux and Govaert 2003. The numbers of components, starts and steps are ours.

    >>> model = GMMGenerator(GMM(components=3))
    >>> points = SampleSet(np.repeat(np.float32([[0, 0], [8, 8]]), 50, axis=0))
    >>> model.fit(points, stream=Stream.of(0))
    >>> sorted(model.means.round(6).tolist()), model.weights.round(6).tolist()
    ([[0.0, 0.0], [8.0, 8.0]], [0.5, 0.5])
    """

    def __init__(self, settings: GMM) -> None:
        self.settings = settings

    def fit(
        self,
        samples: SampleSet,
        *,
        stream: Stream,
        checkpoint: Checkpoint = NO_CHECKPOINT,
        progress: Progress = no_progress,
    ) -> None:
        """Fit by EM in float64; the centres of start i come from `stream`/i."""
        standard = SHAPES[self.settings.covariance].standard(samples.flat())
        z = np.ascontiguousarray(standard.inwards(samples.flat()).T)
        self._frame, self._standard = Frame.around(samples), standard
        self._mixture = self._fit(z, stream)

    def sample(
        self, n: int, *, bias: float, stream: Stream, labels: NDArray[np.int64] | None = None
    ) -> SampleSet:
        """n samples: a component k by its weight, then one of N(μ_k, λΣ_k).

        Returns: values of shape (n, *shape), float32 (uint8 of images), without labels.

        Raises: BadInput, if λ is outside [0, 1].
        """
        check_bias(bias)
        z = self._mixture.scaled(bias).sample(n, stream.numpy())
        return self._frame.samples(self._standard.outwards(z))

    def log_likelihood(self, samples: SampleSet, *, bias: float = 1.0) -> Array:
        """log p of each sample at λ, in nats: the density of the coordinates that varied in the training set.

        Args:
            bias: λ in (0, 1].

        Returns: shape (n,).

        Raises: BadInput, if λ is outside (0, 1].
        """
        check_bias(bias, zero=False)
        z = self._standard.inwards(samples.flat()).T
        return self._mixture.scaled(bias).log_density(z) - self._standard.log_volume

    @property
    def classes(self) -> int | None:
        """None: the model knows no labels."""
        return None

    @property
    def weights(self) -> Array:
        """π, shape (k,), float64; sums to 1."""
        return self._mixture.weights

    @property
    def means(self) -> Array:
        """μ_k in units of the data, shape (k, d), float64."""
        unit = self._standard.unit
        means = np.tile(self._standard.mean, (len(self.weights), 1))
        means[:, unit > 0] += self._mixture.means * unit[unit > 0]
        return means

    @property
    def covariances(self) -> Array:
        """Σ_k in units of the data, shape (k, d, d), float64, whatever `covariance` says of their shape."""
        unit = self._standard.unit
        varies = np.flatnonzero(unit)
        covariances = np.zeros((len(self.weights), len(unit), len(unit)))
        found = self._mixture.covariances.matrices() * np.outer(unit[varies], unit[varies])
        covariances[:, varies[:, np.newaxis], varies] = found
        return covariances

    @property
    def mean(self) -> Array:
        """Σ_k π_k μ_k in units of the data, shape (d,), float64: the mean of samples, whatever λ is."""
        mean: Array = self.weights @ self.means
        return mean

    def save(self, folder: Path) -> None:
        """Write weights, means, roots of the covariances, and what standardises the data."""
        mixture = self._mixture
        arrays = {"weights": mixture.weights, "means": mixture.means, "roots": mixture.covariances.roots}
        write_model(folder, {**arrays, **self._standard.arrays()}, self._frame.told())

    def load(self, folder: Path) -> None:
        """Become what was saved there.

        Raises: Damaged, if it is not whole.
        """
        names = ["weights", "means", "roots", "mean", "unit"]
        arrays, told = read_model(folder, arrays=names, told=["shape", "image"])
        covariances = SHAPES[self.settings.covariance].kind(arrays["roots"])
        self._mixture = Mixture(arrays["weights"], arrays["means"], covariances)
        self._frame, self._standard = Frame.read(told), Standard.read(arrays)

    def _fit(self, z: Array, stream: Stream) -> Mixture:
        """Of standardised points, shape (d, n)."""
        settings = self.settings
        shape, floor = SHAPES[settings.covariance], settings.regularization
        z, copies = distinct(z)
        step = partial(maximise, z, copies=copies, shape=shape, floor=floor, tolerance=settings.tolerance)
        tried = []
        for start in range(settings.restarts):
            random = stream.child(start).numpy()
            centres = spread_centres(z, settings.components, random, copies=copies)
            tried.append(step(begin(z, centres, shape=shape, floor=floor), max_steps=TRIAL_STEPS))
        best = max(tried, key=lambda fit: fit.log_likelihood)
        return step(best.mixture, max_steps=settings.max_iterations).mixture
