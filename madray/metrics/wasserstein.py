"""Wasserstein-2 distance between Gaussians: how far a Gaussian chain has come, without sampling error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from madray.metrics.evidence import Evidence
from madray.metrics.frechet import frechet_between_gaussians
from madray.metrics.moments import root

if TYPE_CHECKING:
    from madray.spec import metrics as spec

Array = NDArray[np.float64]


@runtime_checkable
class IsGaussian(Protocol):
    """What this metric takes for a Gaussian: a fitted generator or a reference that says μ and Σ.

    A distribution of another kind has no attributes of both names, or it would be taken for one.
    """

    @property
    def mean(self) -> Array:
        """μ, shape (d,), float64."""

    @property
    def covariance(self) -> Array:
        """Σ, shape (d, d), float64; may be singular."""


def w2_squared_between_gaussians(*, mu_a: Array, sigma_a: Array, mu_b: Array, sigma_b: Array) -> float:
    """Squared Wasserstein-2 distance between N(μ_a, Σ_a) and N(μ_b, Σ_b).

        W2² = |μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_b^½ Σ_a Σ_b^½)^½)

    Exact also where covariances are singular: between points it is |μ_a - μ_b|². Between Gaussians it
    is the squared Fréchet distance, and made by the same arithmetic.

    Args:
        mu_a: mean, shape (d,).
        sigma_a: covariance, shape (d, d), symmetric.
        mu_b: mean, shape (d,).
        sigma_b: covariance, shape (d, d), symmetric.

    Returns: W2², 0 or more, in squared units of the samples.

    Raises: ValueError, if the shapes do not agree on d, a number is not finite, or Σ_b is no covariance.

    Source: Dowson and Landau 1982, eq. 4; Alemohammad et al. 2023, section 3.1 (dist(G^t, P_r)).

    >>> zero, one = np.zeros(2), np.eye(2)
    >>> w2_squared_between_gaussians(mu_a=zero, sigma_a=0 * one, mu_b=zero, sigma_b=one)
    2.0
    """
    return frechet_between_gaussians(mu_r=mu_b, root_r=root(sigma_b), mu_g=mu_a, sigma_g=sigma_a)


def measure_w2(settings: spec.W2, evidence: Evidence) -> dict[str, float]:
    """W2² and W2 of the fitted N(μ_t, Σ_t), with no λ in it, to a Gaussian reference.

    Both are NaN for generators and references that are no Gaussians, and for a fit that is not finite.
    """
    fitted, reference = evidence.generator, evidence.reference
    squared = math.nan
    if isinstance(fitted, IsGaussian) and isinstance(reference, IsGaussian):
        mu, sigma = np.asarray(fitted.mean), np.asarray(fitted.covariance)
        if np.isfinite(mu).all() and np.isfinite(sigma).all():
            squared = w2_squared_between_gaussians(
                mu_a=mu, sigma_a=sigma, mu_b=reference.mean, sigma_b=reference.covariance
            )
    return {"w2_squared": squared, "w2": math.sqrt(squared)}
