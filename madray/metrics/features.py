"""From samples to features: what every comparison with the real side looks at.

A metric that compares does so in features, and one extractor makes them for the whole sweep. An
extractor of ours has settings in `madray.spec.metrics` (with a `kind`, and `implementation`, the import
path of a function of settings and samples); one of the user's own is named by import path, built with
its settings as keywords, and called with samples.

A network comes with its weights, and other weights make other numbers, so what tells weights apart stands in
the key of every measurement. For weights that madray ships (LeNet for digits, as in the paper) that is the
`version` of the settings. For weights of the user's (Inception for photographs) it is the digest of their
bytes, a field without a default; where they lie is in `not_in_key`: a place is no property. Either way
`implementation` checks the digest when it loads the weights, keeps them in the process, and passes samples
forward in batches of one fixed size, since forward passes change bits with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from madray.errors import BadInput
from madray.samples import SampleSet
from madray.spec.imported import Imported, load_object

if TYPE_CHECKING:
    from madray.spec.metrics import AnyExtractor, Identity, Standardised

Features = NDArray[np.floating[Any]]
"""Shape (n, d), float32 or float64."""


def identity(samples: SampleSet) -> NDArray[np.float32]:
    """The samples themselves, shape (n, d): vectors as they are, images as vectors of [0, 1].

    >>> identity(SampleSet(np.full((1, 1, 1, 2), 255, np.uint8)))
    array([[1., 1.]], dtype=float32)
    """
    return samples.flat()


def extract_identity(settings: Identity, samples: SampleSet) -> NDArray[np.float32]:
    """The samples themselves."""
    return identity(samples)


def standardised(samples: SampleSet, *, real: SampleSet) -> NDArray[np.float64]:
    """z = (x − mean) / deviation with both of the real samples, coordinate by coordinate; shape (n, d).

    Data in other units have the same z. The deviation is √(Σ_i (x_i − mean)² / n_real); a coordinate that
    never varies in the real samples is only centred.

    >>> real = SampleSet(np.float32([[1, 20_000], [3, 60_000]]))
    >>> standardised(SampleSet(np.float32([[4, 20_000]])), real=real).tolist()
    [[2.0, -1.0]]
    """
    points = real.flat().astype(np.float64)
    deviation = points.std(axis=0)
    z: NDArray[np.float64] = (samples.flat() - points.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return z


def extract_standardised(settings: Standardised, samples: SampleSet, real: SampleSet) -> NDArray[np.float64]:
    """The samples in the units of the real ones."""
    return standardised(samples, real=real)


def extract(settings: AnyExtractor, samples: SampleSet, real: SampleSet | None = None) -> NDArray[np.float32]:
    """Features of the samples, shape (n, d), float32, one row a sample.

    Args:
        real: the n_eval real samples that they are compared with, for extractors that say `needs_real`.

    Raises: BadInput, if what the extractor gives are not n rows of finite numbers; ValueError, if it needs
        real samples and there are none.

    >>> from madray.spec.metrics import Identity
    >>> extract(Identity(), SampleSet(np.ones((2, 3), np.float32))).shape
    (2, 3)
    """
    implementation = load_object(settings.implementation)
    if isinstance(settings, Imported):
        features = implementation(**settings.settings)(samples)
    elif settings.needs_real:
        if real is None:
            raise ValueError(f"expected real samples for the extractor {settings.kind}, got none, try real=…")
        features = implementation(settings, samples, real)
    else:
        features = implementation(settings, samples)
    try:
        found = feature_matrix("features", features)
        if len(found) != len(samples):
            raise ValueError(f"expected {len(samples)} rows of features, got {len(found)}, try one a sample")
        with np.errstate(over="ignore"):
            return feature_matrix("features", found.astype(np.float32))
    except ValueError as error:
        raise BadInput(f"extractor {settings.kind}: {error}") from None


def feature_matrix(name: str, features: Any) -> Features:
    """The features as finite numbers of shape (n, d), n and d at least 1: float32 kept, all else float64.

    Args:
        name: what they are, for the messages ("real features").

    Raises: ValueError.
    """
    features = np.asarray(features)
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind not in "fiu":
        raise ValueError(
            f"expected {name} to be numbers of shape (n, d), "
            f"got {features.dtype} of shape {features.shape}, try features.reshape(n, -1)"
        )
    dtype = np.dtype(np.float32 if features.dtype == np.float32 else np.float64)
    matrix: Features = np.ascontiguousarray(features, dtype)
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise ValueError(
            f"expected finite {name}, got NaN or infinity in {len(bad)} of {len(matrix)} rows "
            f"(the first: {bad[0]}), try to find out what made them"
        )
    return matrix
