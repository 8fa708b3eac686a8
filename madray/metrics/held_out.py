"""The likelihood of what a generator held out of its training set, as far as it holds anything out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from madray.metrics.evidence import Evidence

if TYPE_CHECKING:
    from madray.spec import metrics as spec


@runtime_checkable
class HoldsOut(Protocol):
    """What this metric asks of a fitted generator, such as `madray.generators.flow.FlowGenerator`."""

    @property
    def held_out_log_likelihood(self) -> float | None:
        """Mean log p at λ = 1 of the samples that were held out, in nats; None where none was."""


def measure_held_out(settings: spec.HeldOutLogLikelihood, evidence: Evidence) -> dict[str, float]:
    """How well a fit explains samples of its own training distribution that it was not fitted to.

    It tells a bad fit from a bad training set: in a loop that distribution is mostly not the reference's.
    There is no λ in it. NaN for generators that hold nothing out.
    """
    fitted = evidence.generator
    found = fitted.held_out_log_likelihood if isinstance(fitted, HoldsOut) else None
    return {"held_out_log_likelihood": math.nan if found is None else found}
