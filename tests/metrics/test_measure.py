"""Measuring: dispatch to metrics of ours and of the user's own, and what may come back."""

import math

import numpy as np
import pytest

from madray.errors import BadInput
from madray.metrics import Evidence
from madray.metrics.measure import measure
from madray.metrics.real_side import make_real_side, measure_floor
from madray.references.analytic import GaussianReference
from madray.samples import SampleSet
from madray.spec.metrics import METRICS, ImportedMetric
from madray.spec.references import Gaussian
from madray.streams import Stream

OWN = """
import math
import numpy as np

class Says:
    names = ("b", "a")
    needs_real = False
    version = 1
    def __init__(self, a=1.0, b=math.inf):
        self.said = {"a": a, "b": b}
    def measure(self, evidence):
        return self.said

class Scalars(Says):
    def measure(self, evidence):
        return {"a": np.float32(0.5), "b": np.int64(3)}

class Missing(Says):
    def measure(self, evidence):
        return {"a": 1.0}

class TooMuch(Says):
    def measure(self, evidence):
        return {"a": 1.0, "b": 2.0, "c": 3.0}

class AList(Says):
    def measure(self, evidence):
        return [1.0, 2.0]

class ANone(Says):
    def measure(self, evidence):
        return {"a": 1.0, "b": None}

class ABool(Says):
    def measure(self, evidence):
        return {"a": 1.0, "b": True}

class ANumpyBool(Says):
    def measure(self, evidence):
        return {"a": 1.0, "b": np.bool_(True)}

class AString(Says):
    def measure(self, evidence):
        return {"a": 1.0, "b": "2"}

class AnArray(Says):
    def measure(self, evidence):
        return {"a": 1.0, "b": np.ones(2)}

class Raises(Says):
    def measure(self, evidence):
        raise ZeroDivisionError("my own mistake")

class OfTheModel(Says):
    needs_samples = False
    def measure(self, evidence):
        return {"a": evidence.generator.a, "b": 0.0}

class Nameless:
    version = 1
"""

SAMPLES = SampleSet(Stream.of(0, "samples").numpy().standard_normal((40, 3)).astype(np.float32))
EVIDENCE = Evidence(
    generator=None,
    reference=GaussianReference(Gaussian(d=3)),
    bias=1.0,
    samples=SAMPLES,
    features=SAMPLES.flat(),
    real=make_real_side(SAMPLES.flat()),
)


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_metrics.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))

    def settings(name: str, **fields) -> ImportedMetric:
        return ImportedMetric(kind=f"own_metrics:{name}", **fields)

    return settings


def test_every_metric_of_ours_gives_its_names_in_their_order():
    for metric in METRICS:
        found = measure(metric(), EVIDENCE)
        assert tuple(found) == metric.names
        assert all(type(value) is float for value in found.values())


def test_a_generation_equal_to_the_real_side_looks_like_it():
    found = {name: value for metric in METRICS for name, value in measure(metric(), EVIDENCE).items()}
    assert found["fid"] < 1e-10
    assert (found["precision"], found["recall"]) == (1, 1)


def test_a_metric_of_ones_own_gets_its_settings_and_gives_numbers_in_the_order_of_its_names(own):
    assert list(measure(own("Says", a=2.5), EVIDENCE).items()) == [("b", math.inf), ("a", 2.5)]


def test_nan_and_infinity_are_numbers(own):
    settings = own("Says")
    assert measure(settings, EVIDENCE)["b"] == math.inf


def test_scalars_of_numpy_become_floats(own):
    found = measure(own("Scalars"), EVIDENCE)
    assert found == {"b": 3.0, "a": 0.5}
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Missing", r"expected a dict with \['a', 'b'\], got \['a'\], try NaN"),
        ("TooMuch", r"expected a dict with \['a', 'b'\], got \['a', 'b', 'c'\]"),
        ("AList", r"expected a dict with \['a', 'b'\], got list"),
        ("ANone", r"expected b to be a real number, got None \(NoneType\), try"),
        ("ABool", r"expected b to be a real number, got True \(bool\)"),
        ("ANumpyBool", r"expected b to be a real number, got np.True_ \(bool\)"),
        ("AString", r"expected b to be a real number, got '2' \(str\)"),
        ("AnArray", r"expected b to be a real number, got array\(\[1., 1.\]\) \(ndarray\)"),
    ],
)
def test_what_is_not_as_promised_is_refused_with_the_metrics_name(own, name, told):
    with pytest.raises(BadInput, match=rf"metric own_metrics:{name}: {told}"):
        measure(own(name), EVIDENCE)


def test_what_a_metric_of_ones_own_raises_is_passed_on(own):
    with pytest.raises(ZeroDivisionError, match="my own mistake"):
        measure(own("Raises"), EVIDENCE)


def test_a_metric_without_names_is_refused(own):
    with pytest.raises(BadInput, match=r"expected own_metrics:Nameless.names to say which numbers"):
        _ = own("Nameless").names


def test_a_metric_of_the_model_alone_says_so_and_has_no_floor(own):
    settings = own("OfTheModel")
    assert not settings.needs_samples
    assert own("Says").needs_samples
    found = measure_floor(settings, EVIDENCE.reference, EVIDENCE.real, SAMPLES, SAMPLES.flat())
    assert list(found) == ["b", "a"]
    assert all(math.isnan(value) for value in found.values())
