"""Fréchet distance between Gaussians: the arithmetic of FID, with no network in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from madray.metrics.evidence import Evidence
from madray.metrics.features import Features, feature_matrix
from madray.metrics.moments import mean_and_covariance, root, without_rounding

if TYPE_CHECKING:
    from madray.spec import metrics as spec

Array = NDArray[np.float64]


def frechet_between_gaussians(*, mu_r: Array, root_r: Array, mu_g: Array, sigma_g: Array) -> float:
    """Squared Fréchet distance between N(μ_r, L Lᵀ) and N(μ_g, Σ_g), which is also their W2².

        d² = |μ_r - μ_g|² + tr(L Lᵀ) + tr(Σ_g) - 2 tr((Lᵀ Σ_g L)^½)

    All in float64; both covariances may be singular. Rounding errors grow with the traces: about 1e-15
    of them, and about 1e-8 of them where one covariance is nearly, but not wholly singular.

    Args:
        mu_r: real mean, shape (d,).
        root_r: L, any factor of the real covariance, shape (d, d); made once per reference by `root`.
        mu_g: generated mean, shape (d,).
        sigma_g: generated covariance, shape (d, d), symmetric.

    Returns: d², 0 or more, in squared units of the features.

    Raises: ValueError, if the shapes do not agree on d, or a number is not finite.

    Source: Heusel et al. 2017 (arXiv:1706.08500), eq. 6; Dowson and Landau 1982, eq. 4.

    >>> one = np.ones(1)
    >>> frechet_between_gaussians(mu_r=0 * one, root_r=np.eye(1), mu_g=3 * one, sigma_g=4 * np.eye(1))
    10.0
    """
    given: list[Array] = [np.asarray(array, np.float64) for array in (mu_r, root_r, mu_g, sigma_g)]
    d = given[0].size
    shapes = tuple(array.shape for array in given)
    if not d or shapes != ((d,), (d, d), (d,), (d, d)):
        raise ValueError(
            f"expected shapes (d,), (d, d), (d,), (d, d), got {shapes}, "
            "try features.mean(0) and numpy.cov(features, rowvar=False)"
        )
    if not all(np.isfinite(array).all() for array in given):
        raise ValueError(
            "expected finite means and covariances, got NaN or infinity, try to drop such samples"
        )
    mu_r, root_r, mu_g, sigma_g = given
    # eigvalsh would misread L Lᵀ Σ_g, which is not symmetric; Lᵀ Σ_g L is, with the same eigenvalues.
    spectrum = without_rounding(np.linalg.eigvalsh(root_r.T @ sigma_g @ root_r))
    apart = np.sum((mu_r - mu_g) ** 2)
    return max(0.0, float(apart + np.sum(root_r**2) + np.trace(sigma_g) - 2 * np.sqrt(spectrum).sum()))


def frechet_distance(*, real: Features, generated: Features) -> float:
    """Squared Fréchet distance between Gaussians fitted to features: FID, on features of any kind.

        d² = |μ_r - μ_g|² + tr(Σ_r + Σ_g - 2 (Σ_r Σ_g)^½)

    Means and unbiased covariances in float64. Fewer samples than dimensions, equal samples and one
    sample (covariance 0) are no errors: a collapsed model has such features. The distance is biased
    upwards in small samples: compare at one n, and against the floor of real samples.

    Args:
        real: features of shape (n_r, d), any floating dtype.
        generated: features of shape (n_g, d).

    Returns: d², 0 or more.

    Raises: ValueError, if the features are no finite matrices with the same d.

    Source: Heusel et al. 2017 (arXiv:1706.08500), eq. 6.

    A shift of all samples by 2 is a distance of 2²; all of them at their mean, 1, leave the variance, 2:

    >>> real = np.array([[0.0], [2.0]])
    >>> round(frechet_distance(real=real, generated=real + 2), 12)
    4.0
    >>> round(frechet_distance(real=real, generated=np.ones((5, 1))), 12)
    2.0
    """
    real, generated = feature_matrix("real features", real), feature_matrix("generated features", generated)
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"expected real and generated features of the same d, got {real.shape[1]} and "
            f"{generated.shape[1]}, try the same extractor for both"
        )
    mu_r, sigma_r = mean_and_covariance(real)
    mu_g, sigma_g = mean_and_covariance(generated)
    return frechet_between_gaussians(mu_r=mu_r, root_r=root(sigma_r), mu_g=mu_g, sigma_g=sigma_g)


def measure_fid(settings: spec.FID, evidence: Evidence) -> dict[str, float]:
    """The Fréchet distance of the generation's features to the real side, whose root is made once."""
    features, real = evidence.both_sides()
    mu_g, sigma_g = mean_and_covariance(feature_matrix("generated features", features))
    return {"fid": frechet_between_gaussians(mu_r=real.mean, root_r=real.root, mu_g=mu_g, sigma_g=sigma_g)}
