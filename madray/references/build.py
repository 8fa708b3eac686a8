"""From a reference's settings to the reference itself."""

from __future__ import annotations

import inspect

from madray.errors import BadInput
from madray.references.finite import FiniteReference
from madray.references.protocol import Reference
from madray.samples import SampleSet
from madray.spec.imported import load_object
from madray.spec.references import AnyReference, ImportedReference


def build_reference(settings: AnyReference, samples: SampleSet | None = None) -> Reference:
    """The reference that these settings name.

    Args:
        settings: an analytic, a finite or an imported reference's.
        samples: what a finite reference draws from, as `madray.references.content.read` gives it;
            None for all others.

    Raises: BadInput, if a finite reference has no samples or another one has some; if a class of the
        user's does not take its settings, or is no reference.

    >>> from madray.spec.references import Gaussian
    >>> build_reference(Gaussian(d=3)).shape
    (3,)
    """
    if settings.finite:
        if samples is None:
            raise BadInput(
                f"expected samples for the finite reference {settings.kind}, got none, "
                "try madray.references.content.read(settings, data)"
            )
        return FiniteReference(samples)
    if samples is not None:
        raise BadInput(f"expected no samples for {settings.kind}, which makes its own, got {len(samples)}")
    if isinstance(settings, ImportedReference):
        return _imported(settings)
    reference: Reference = load_object(settings.implementation)(settings)
    return reference


def _imported(settings: ImportedReference) -> Reference:
    make = settings.load()
    if not callable(make):
        raise BadInput(f"expected {settings.kind} to be a class or a function, got {type(make).__name__}")
    try:
        inspect.signature(make).bind(**settings.settings)
    except TypeError as error:
        raise BadInput(
            f"expected settings that {settings.kind} takes, got {settings.settings or 'none'} ({error}), "
            "try its constructor's argument names"
        ) from None
    reference: Reference = make(**settings.settings)
    lacks = [name for name in ("shape", "classes", "size", "draw") if not hasattr(reference, name)]
    if lacks or not callable(reference.draw):
        raise BadInput(
            f"expected {settings.kind} to be a reference with shape, classes, size and draw(n, stream), "
            f"got {type(reference).__name__} without {', '.join(lacks) or 'a callable draw'}, "
            "try madray.references.Reference as a pattern"
        )
    return reference
