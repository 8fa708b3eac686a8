"""How much of a mixture is left: modes covered, and the variance within modes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from madray.metrics.evidence import Evidence
from madray.metrics.features import Features, feature_matrix

if TYPE_CHECKING:
    from madray.spec import metrics as spec


@runtime_checkable
class HasModes(Protocol):
    """A reference that says where its modes are."""

    @property
    def means(self) -> NDArray[Any]:
        """Shape (modes, d)."""

    @property
    def std(self) -> float:
        """The standard deviation of every mode, along every axis."""


def nearest_mode(samples: Features, means: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The nearest mode of each sample (the first of equally near ones), and the distance to it.

    Args:
        samples: shape (n, d).
        means: of the modes, shape (modes, d).

    Returns: indices and Euclidean distances, shape (n,) each.

    Raises: ValueError, if samples or means are no finite matrices of the same d.

    >>> nearest_mode(np.array([[1.0], [4.0]]), np.array([[0.0], [5.0]]))
    (array([0, 1]), array([1., 1.]))
    """
    samples, means = feature_matrix("samples", samples), feature_matrix("means", means)
    if samples.shape[1] != means.shape[1]:
        raise ValueError(
            f"expected samples and means of the same d, got {samples.shape[1]} and {means.shape[1]}, "
            "try the reference that the samples imitate"
        )
    nearest = np.zeros(len(samples), np.intp)
    squared = np.full(len(samples), np.inf)
    coordinates = np.ascontiguousarray(samples.T, np.float64)
    for mode, centre in enumerate(means.astype(np.float64)):
        apart = coordinates - centre[:, np.newaxis]
        here = np.einsum("dn,dn->n", apart, apart)
        nearest[here < squared] = mode
        np.minimum(squared, here, out=squared)
    return nearest, np.sqrt(squared)


def modes_covered(
    samples: Features, *, means: NDArray[Any], std: float, within: float = 4.0, at_least: int = 1
) -> int:
    """How many modes have at least `at_least` samples within `within` standard deviations.

    A sample counts for its nearest mode only. Ours: the paper shows the loss of modes, and counts none.

    >>> means = np.array([[0.0], [10.0]])
    >>> modes_covered(np.array([[1.0], [2.0], [5.1]]), means=means, std=1.0)
    1
    """
    nearest, distance = nearest_mode(samples, means)
    return _covered(nearest[distance <= within * std], len(means), at_least)


def average_modal_variance(samples: Features, *, means: NDArray[Any]) -> float:
    """The average variance of each mode: the trace of the covariance of the samples nearest to it.

        (1/M) Σ_m tr Cov{x : m is nearest to x}, over the M modes with two samples or more

    Every sample belongs to its nearest mode, however far away it is: strays are variance. A lost mode is
    not counted as 0, since the number of modes is another number. NaN where no mode has two samples.

    Source: Alemohammad et al. 2023, Figure 15, middle ("the average variance of each mode").

    Two samples around 0 with variance 2, two equal ones at 10:

    >>> means = np.array([[0.0], [10.0], [20.0]])
    >>> average_modal_variance(np.array([[-1.0], [1.0], [10.0], [10.0]]), means=means)
    1.0
    """
    nearest, _ = nearest_mode(samples, means)
    return _average_variance(np.asarray(samples), nearest, len(means))


def measure_modes(settings: spec.Modes, evidence: Evidence) -> dict[str, float]:
    """Modes covered and average modal variance; NaN for a reference that does not say where its modes are."""
    reference = evidence.reference
    if not isinstance(reference, HasModes):
        return {"modes": math.nan, "modal_variance": math.nan}
    samples, modes = evidence.some_samples().flat(), len(reference.means)
    nearest, distance = nearest_mode(samples, reference.means)
    near = nearest[distance <= settings.within * reference.std]
    return {
        "modes": _covered(near, modes, settings.at_least),
        "modal_variance": _average_variance(samples, nearest, modes),
    }


def _covered(near: NDArray[np.intp], modes: int, at_least: int) -> int:
    """How many modes have enough of the samples that are near one, of which `near` tells whose they are."""
    return int(np.count_nonzero(np.bincount(near, minlength=modes) >= at_least))


def _average_variance(samples: Features, nearest: NDArray[np.intp], modes: int) -> float:
    """Of each mode's samples; all modes at once."""
    counts = np.bincount(nearest, minlength=modes)
    several = counts >= 2
    if not several.any():
        return math.nan
    some = np.zeros(modes, np.intp)
    some[nearest] = np.arange(len(samples))
    squares = np.zeros(modes)
    for values in samples.T.astype(np.float64):
        values -= values[some][nearest]  # of equal samples nothing is left, to the last bit
        mean = np.bincount(nearest, values, modes) / np.maximum(counts, 1)
        squares += np.bincount(nearest, np.square(values - mean[nearest]), modes)
    return float(np.mean(squares[several] / (counts[several] - 1)))
