"""From settings to references: analytic, finite, and the user's own."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from madray.errors import BadInput
from madray.references import Reference, build_reference
from madray.references.analytic import GaussianReference, GMM25Reference, RosenbrockReference
from madray.references.content import read
from madray.references.finite import FiniteReference
from madray.samples import SampleSet
from madray.spec.references import GMM25, Digits, Gaussian, ImportedReference, Rosenbrock
from madray.streams import Stream

OWN = """
import numpy as np
from madray.samples import SampleSet

class Ring:
    version = 1
    shape = (2,)
    classes = None
    size = None

    def __init__(self, radius=1.0):
        self.radius = radius

    def draw(self, n, stream):
        angle = 2 * np.pi * stream.numpy().random(n)
        ring = self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return SampleSet(ring.astype(np.float32))

class Half:
    shape = (2,)

class Still(Ring):
    draw = None

def make_ring(radius):
    return Ring(radius)

not_callable = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's."""
    name = "own_reference_of_this_test"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def imported(kind: str, **settings: object) -> ImportedReference:
    return ImportedReference.model_validate({"kind": kind, **settings})


def test_analytic_references_are_built_from_their_settings() -> None:
    assert isinstance(build_reference(Gaussian(d=4)), GaussianReference)
    assert isinstance(build_reference(GMM25()), GMM25Reference)
    assert isinstance(build_reference(Rosenbrock()), RosenbrockReference)


def test_a_finite_reference_is_built_from_its_samples() -> None:
    reference = build_reference(Digits(), read(Digits(), None))
    assert isinstance(reference, FiniteReference)
    assert reference.size == 1797


def test_samples_and_settings_must_suit_each_other() -> None:
    with pytest.raises(BadInput, match=r"expected samples for the finite reference digits, got none, try"):
        build_reference(Digits())
    with pytest.raises(BadInput, match=r"expected no samples for gaussian, .* got 1"):
        build_reference(Gaussian(), SampleSet(np.zeros((1, 2), np.float32)))


@pytest.mark.parametrize("name", ["Ring", "make_ring"])
def test_a_reference_of_the_users_own_gets_its_settings(own: str, name: str) -> None:
    reference = build_reference(imported(f"{own}:{name}", radius=3.0))
    assert isinstance(reference, Reference)
    values = reference.draw(10, Stream.of(0, 1, "real")).values
    np.testing.assert_allclose(np.hypot(*values.T), 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("Half", {}, "to be a reference with .*, got Half without classes, size, draw, try"),
        ("Still", {}, "to be a reference with .*, got Still without a callable draw, try"),
        ("not_callable", {}, "to be a class or a function, got int"),
    ],
)
def test_what_is_no_reference_is_refused(
    own: str, name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=f"expected {own}:{name} {message}"):
        build_reference(imported(f"{own}:{name}", **settings))


def test_settings_that_a_class_does_not_take_are_refused(own: str) -> None:
    message = (
        f"expected settings that {own}:Ring takes, got {{'width': 2}} (got an unexpected keyword argument"
    )
    with pytest.raises(BadInput, match=re.escape(message)):
        build_reference(imported(f"{own}:Ring", width=2))
    with pytest.raises(BadInput, match=r"got none \(missing a required argument: 'radius'\)"):
        build_reference(imported(f"{own}:make_ring"))
