"""What a metric may look at: the real samples are those that the real side was made of."""

from __future__ import annotations

import numpy as np
import pytest

from madray.forest import RealSet
from madray.metrics.evidence import Evidence
from madray.metrics.real_side import make_real_side
from madray.references.analytic import GMM25Reference
from madray.spec.references import GMM25

REFERENCE = GMM25Reference(GMM25())


def test_the_real_samples_are_those_of_the_real_side() -> None:
    # A chain draws twice as many, and makes the real side of the first half.
    drawn = REFERENCE.draw(2 * 30, RealSet.stream).head(30)
    evidence = Evidence(generator=None, reference=REFERENCE, bias=1.0, real=make_real_side(drawn.flat()))
    found = evidence.real_samples()
    np.testing.assert_array_equal(found.values, drawn.values)
    np.testing.assert_array_equal(found.labels, drawn.labels)


def test_without_a_real_side_or_a_reference_there_are_none() -> None:
    real = make_real_side(np.zeros((3, 2), np.float32))
    for told, evidence in [
        ("a real side, got none, try needs_real", Evidence(generator=None, reference=REFERENCE, bias=1.0)),
        ("a reference, got none, try the one", Evidence(generator=None, reference=None, bias=1.0, real=real)),
    ]:
        with pytest.raises(ValueError, match=f"expected evidence with {told}"):
            evidence.real_samples()
