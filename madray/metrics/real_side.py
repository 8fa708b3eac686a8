"""The real half of every comparison: made once, kept as arrays, and what it says of itself (the floor)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from madray.errors import Damaged
from madray.metrics.evidence import Evidence, RealSide
from madray.metrics.features import Features, feature_matrix
from madray.metrics.measure import measure
from madray.metrics.moments import mean_and_covariance, root
from madray.samples import SampleSet

if TYPE_CHECKING:
    from madray.spec.metrics import AnyMetric

FILE = "real_side.safetensors"


def make_real_side(features: Features) -> RealSide:
    """Mean and root of the covariance of n_eval real samples' features, shape (n, d), beside the features.

    Raises: ValueError, if the features are no finite matrix.

    >>> real = make_real_side(np.array([[0.0], [2.0]], np.float32))
    >>> float(real.mean[0]), round(float(real.root[0, 0] ** 2), 12)
    (1.0, 2.0)
    """
    features = feature_matrix("real features", features).astype(np.float32, copy=False)
    mu, sigma = mean_and_covariance(features)
    return RealSide(features=features, mean=mu, root=root(sigma))


def to_arrays(real: RealSide) -> dict[str, NDArray[Any]]:
    """Named arrays in C order, for safetensors or npz; `from_arrays` reads them."""
    named = {"features": real.features, "mean": real.mean, "root": real.root}
    return {name: np.ascontiguousarray(array) for name, array in named.items()}


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> RealSide:
    """The real side that `to_arrays` wrote.

    Raises: Damaged, if names, shapes or dtypes are not those that it writes.
    """
    try:
        features, mu, factor = (np.asarray(arrays[name]) for name in ("features", "mean", "root"))
    except KeyError as error:
        raise Damaged(f"expected arrays features, mean and root, got no {error}") from None
    d = features.shape[-1] if features.ndim == 2 else -1
    if (mu.shape, factor.shape) != ((d,), (d, d)) or [features.dtype, mu.dtype, factor.dtype] != [
        np.float32,
        np.float64,
        np.float64,
    ]:
        told = ", ".join(f"{array.dtype} {array.shape}" for array in (features, mu, factor))
        raise Damaged(f"expected float32 (n, d), float64 (d,) and float64 (d, d), got {told}")
    return RealSide(features=features, mean=mu, root=factor)


def pack(real: RealSide) -> dict[str, bytes]:
    """The real side as the files of an artifact: one, of safetensors."""
    from safetensors.numpy import save

    return {FILE: save(to_arrays(real))}


def unpack(files: Mapping[str, bytes]) -> RealSide:
    """The real side that `pack` wrote.

    Raises: Damaged, if the file is missing, or is not what it wrote.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if FILE not in files:
        raise Damaged(f"expected {FILE} in the artifact of a real side, got {sorted(files)}")
    try:
        return from_arrays(load(files[FILE]))
    except SafetensorError as error:
        raise Damaged(f"expected {FILE} to hold safetensors, got {error}") from None


def measure_floor(
    settings: AnyMetric,
    reference: Any,
    real: RealSide,
    samples: SampleSet,
    features: NDArray[np.float32],
) -> dict[str, float]:
    """What a metric reports of real samples against real samples: the best that a model can look.

    Args:
        settings: the metric's.
        reference: P_r, for metrics that ask it (`modes`); None where there is none.
        real: the real side of the sweep.
        samples: n_eval other real samples, disjoint from those of the real side.
        features: of these other samples, shape (n_eval, d).

    Returns: a number for each of the metric's names; NaN for metrics that look at the fitted model alone
        (w2), since there is none. A metric of the user's own that looks at samples and model finds None
        for the model.
    """
    if not settings.needs_samples:
        return dict.fromkeys(settings.names, math.nan)
    evidence = Evidence(
        generator=None, reference=reference, bias=1.0, samples=samples, features=features, real=real
    )
    return measure(settings, evidence)
