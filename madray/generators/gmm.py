"""A mixture of Gaussians, Σ_k π_k N(μ_k, Σ_k), fitted by expectation maximization."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madray.generators.folders import read_model, write_model
from madray.generators.gaussian import symmetric_root
from madray.generators.protocol import NO_CHECKPOINT, Checkpoint, Progress, check_bias, no_progress
from madray.generators.vectors import Frame
from madray.samples import SampleSet
from madray.spec.generators import GMM
from madray.streams import Stream

Array = NDArray[np.float64]


class GMMGenerator:
    """p(x) = Σ_k π_k N(x; μ_k, Σ_k), by scikit-learn's EM from k-means++ centres.

    λ samples component k, with its weight π_k unchanged, from N(μ_k, λΣ_k); λ = 0 gives the centres
    alone. That reading of λ for a mixture is ours. A training set of fewer distinct points than
    components gets as many components as it has points. `regularization` is added to every
    variance, so no covariance is singular; where rounding makes one indefinite all the same, the
    regularization grows tenfold until EM can go on. Images are vectors of pixels / 255, as in
    `GaussianGenerator`. Samples carry no labels.

    Source: Dempster, Laird and Rubin 1977; k-means++ of Arthur and Vassilvitskii 2007.

    >>> model = GMMGenerator(GMM(components=3))
    >>> points = SampleSet(np.repeat(np.float32([[0, 0], [8, 8]]), 50, axis=0))
    >>> model.fit(points, stream=Stream.of(0))
    >>> sorted(model.means.round(6).tolist()), model.weights.round(6).tolist()
    ([[0.0, 0.0], [8.0, 8.0]], [0.5, 0.5])
    """

    weights: Array
    """π, shape (k,), float64; sums to 1."""
    means: Array
    """μ_k, shape (k, d), float64."""
    covariances: Array
    """Σ_k, float64: (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical."""

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
        """Fit by EM in float64; the seed of the k-means++ centres is `stream`'s."""
        from sklearn.exceptions import ConvergenceWarning

        points = samples.flat().astype(np.float64)
        components = distinct_rows(points, at_most=self.settings.components)
        if len(points) == 1:
            points = np.repeat(points, 2, axis=0)  # scikit-learn fits nothing to one sample
        with warnings.catch_warnings():
            # EM that stops at `max_iterations` is what the settings ask for.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = self._em(points, components, seed=stream.integer())
        self.weights = fitted.weights_ / fitted.weights_.sum()
        self.means, self.covariances = fitted.means_, fitted.covariances_
        self._frame = Frame.around(samples)
        self._roots: NDArray[np.float32] | None = None

    def sample(
        self, n: int, *, bias: float, stream: Stream, labels: NDArray[np.int64] | None = None
    ) -> SampleSet:
        """n samples: a component k by its weight, then x = μ_k + √λ R_k z with R_k R_k = Σ_k.

        Returns: values of shape (n, *shape), float32 (uint8 of images), without labels.

        Raises: BadInput, if λ is outside [0, 1].
        """
        check_bias(bias)
        if self._roots is None:
            self._roots = self._make_roots().astype(np.float32)
        random = stream.numpy()
        chosen = random.choice(len(self.weights), size=n, p=self.weights)
        points = random.standard_normal((n, self.means.shape[1]), dtype=np.float32)
        if self._roots.ndim == 2:  # diagonal: a standard deviation for each coordinate of each component
            points *= self._roots[chosen]
        else:
            for k in range(len(self.weights)):
                mine = chosen == k
                points[mine] = points[mine] @ self._roots[k]
        points *= np.float32(bias**0.5)
        points += self.means.astype(np.float32)[chosen]
        return self._frame.samples(points)

    @property
    def classes(self) -> int | None:
        """None: the model knows no labels."""
        return None

    def save(self, folder: Path) -> None:
        """Write weights, means and covariances."""
        arrays = {"weights": self.weights, "means": self.means, "covariances": self.covariances}
        write_model(folder, arrays, self._frame.told())

    def load(self, folder: Path) -> None:
        """Become what was saved there.

        Raises: Damaged, if it is not whole.
        """
        arrays, told = read_model(folder, arrays=["weights", "means", "covariances"], told=["shape", "image"])
        self.weights, self.means = arrays["weights"], arrays["means"]
        self.covariances = arrays["covariances"]
        self._frame = Frame.read(told)
        self._roots = None

    def _em(self, points: Array, components: int, *, seed: int) -> Any:
        from sklearn.mixture import GaussianMixture

        for attempt in range(GROWTHS):
            model = GaussianMixture(
                components,
                covariance_type=self.settings.covariance,
                tol=self.settings.tolerance,
                max_iter=self.settings.max_iterations,
                n_init=self.settings.restarts,
                reg_covar=self.settings.regularization * 10.0**attempt,
                init_params="k-means++",
                random_state=seed,
            )
            try:
                return model.fit(points)
            except ValueError:  # "ill-defined empirical covariance": rounding outdid the regularization
                if attempt == GROWTHS - 1:
                    raise
        raise AssertionError("unreachable")

    def _make_roots(self) -> Array:
        """(k, d, d) symmetric roots, or (k, d) standard deviations."""
        k, d = self.means.shape
        if self.settings.covariance == "full":
            return symmetric_root(self.covariances)
        if self.settings.covariance == "tied":
            return np.broadcast_to(symmetric_root(self.covariances), (k, d, d))
        return np.broadcast_to(np.sqrt(self.covariances.reshape(k, -1)), (k, d))


GROWTHS = 12
"""How often the regularization may grow before a covariance that stays indefinite is an error."""


def distinct_rows(points: Array, *, at_most: int) -> int:
    """How many different rows there are, counted no further than `at_most`.

    >>> distinct_rows(np.array([[0.0], [-0.0], [1.0]]), at_most=5)
    2
    """
    seen: set[bytes] = set()
    for row in points + 0.0:  # -0.0 + 0.0 is 0.0, so that equal rows have equal bytes
        seen.add(row.tobytes())
        if len(seen) == at_most:
            break
    return len(seen)
