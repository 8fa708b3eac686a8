"""Variance of samples of any dimension: the trace of their covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from madray.metrics.evidence import Evidence
from madray.metrics.features import Features, feature_matrix
from madray.metrics.moments import less, mean

if TYPE_CHECKING:
    from madray.spec import metrics as spec


def trace_of_covariance(samples: Features) -> float:
    """Trace of the unbiased covariance: the variances of all coordinates, added.

        tr Σ = Σ_i |x_i - μ|² / (n - 1)

    Args:
        samples: shape (n, d), any floating dtype; summed in float64.

    Returns: tr Σ, in squared units of the samples. Of one sample it is 0, as of equal samples: what has
        collapsed to a point has no variance.

    Raises: ValueError, if the samples are no finite matrix.

    Source: Alemohammad et al. 2023, the footnote of Figure 15.

    >>> trace_of_covariance(np.array([[0.0, 0.0], [2.0, 4.0]]))
    10.0
    """
    samples = feature_matrix("samples", samples)
    squares = sum(float(np.einsum("nd,nd->", part, part)) for part in less(samples, mean(samples)))
    return squares / max(1, len(samples) - 1)


def measure_variance(settings: spec.Variance, evidence: Evidence) -> dict[str, float]:
    """The trace of the covariance of the samples as vectors; those of images lie in [0, 1]."""
    return {"variance": trace_of_covariance(evidence.some_samples().flat())}
