"""Control variates: means made precise by quantities whose means are known."""

from __future__ import annotations

import math

import numpy as np

from madray.theory.estimate import Array, Estimate


def controlled_mean(values: Array, controls: Array) -> Estimate[float]:
    """The mean of independent values, by least squares on controls that are known to have mean 0.

        values ≈ mean + controls · β

    The intercept estimates the mean; its variance is what the controls leave of the values'. The bias that
    comes with β being estimated is of the order 1/n, and none for values and controls that are jointly
    Gaussian.

    Args:
        values: shape (n,).
        controls: shape (n, k), n > k + 1.

    Source: Glasserman 2003, Monte Carlo Methods in Financial Engineering, section 4.1.

    >>> z = np.random.default_rng(0).standard_normal(100)
    >>> found = controlled_mean(3 + 2 * z, z[:, None])
    >>> round(found.mean, 9), round(found.standard_error, 9)
    (3.0, 0.0)
    """
    n = len(values)
    scale = np.maximum(np.abs(controls).max(axis=0), 1e-300)  # controls may differ by many orders
    design = np.column_stack([np.ones(n), controls / scale])
    inverse = np.linalg.pinv(design)
    fitted = inverse @ values
    left = values - design @ fitted
    variance = left @ left / (n - design.shape[1]) * (inverse[0] @ inverse[0])
    return Estimate(float(fitted[0]), math.sqrt(variance))
