"""One metric, measured: whose ever it is, it gives exactly the numbers that it promised."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from madray.errors import BadInput
from madray.metrics.evidence import Evidence
from madray.spec.imported import Imported, load_object

if TYPE_CHECKING:
    from madray.spec.metrics import AnyMetric


def measure(settings: AnyMetric, evidence: Evidence) -> dict[str, float]:
    """What the metric says of the evidence: one number for each of `settings.names`, in their order.

    NaN means that there is no value here (W2 of a mixture), infinity is a value; both are let through.

    Raises: BadInput, if a name is missing or too much, or a value is no real number. What a metric of the
        user's own raises is passed on as it is.

    >>> from madray.samples import SampleSet
    >>> from madray.spec.metrics import Variance
    >>> samples = SampleSet(np.array([[0.0], [2.0]], np.float32))
    >>> measure(Variance(), Evidence(generator=None, reference=None, bias=1.0, samples=samples))
    {'variance': 2.0}
    """
    implementation = load_object(settings.implementation)
    if isinstance(settings, Imported):
        found = implementation(**settings.settings).measure(evidence)
    else:
        found = implementation(settings, evidence)
    names = settings.names
    if not isinstance(found, dict) or set(found) != set(names):
        got = sorted(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise BadInput(
            f"metric {settings.implementation}: expected a dict with {sorted(names)}, got {got}, "
            "try NaN for a number that has no value here"
        )
    return {name: _number(settings.implementation, name, found[name]) for name in names}


def _number(metric: str, name: str, value: Any) -> float:
    # True is 1 in Python, and a metric that answers it most likely forgot to count.
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise BadInput(
            f"metric {metric}: expected {name} to be a real number, got {value!r} ({type(value).__name__}), "
            "try float(…), or math.nan where it has no value"
        )
    return float(value)
