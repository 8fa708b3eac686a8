"""The held-out likelihood is the model's own, and NaN where there is none."""

import math

import numpy as np
import pytest

from madray import run_chain
from madray.generators.flow import FlowGenerator
from madray.metrics.evidence import Evidence
from madray.metrics.held_out import measure_held_out
from madray.samples import SampleSet
from madray.spec.generators import Flow
from madray.spec.metrics import HeldOutLogLikelihood
from madray.streams import Stream


def measured(generator: object) -> float:
    evidence = Evidence(generator=generator, reference=None, bias=0.5)
    return measure_held_out(HeldOutLogLikelihood(), evidence)["held_out_log_likelihood"]


def test_it_is_the_mean_likelihood_of_the_samples_that_were_held_out() -> None:
    points = SampleSet(Stream.of(0).numpy().normal(size=(60, 2)).astype(np.float32))
    model = FlowGenerator(Flow(layers=2, width=8, epochs=2, batch=16, held_out=0.5))
    model.fit(points, stream=Stream.of(1))
    order = Stream.of(1).child("held_out").numpy().permutation(60)
    assert measured(model) == pytest.approx(model.log_likelihood(points)[order[:30]].mean())


def test_nothing_held_out_and_no_such_generator_have_none() -> None:
    model = FlowGenerator(Flow(layers=1, width=4, epochs=1, held_out=0.0))
    model.fit(SampleSet(np.eye(4, 2, dtype=np.float32)), stream=Stream.of(1))
    assert math.isnan(measured(model))
    assert math.isnan(measured(None))
    assert math.isnan(measured(object()))


def test_a_chain_has_it_as_a_column() -> None:
    chain = {
        "reference": "rosenbrock",
        "generator": {"kind": "flow", "layers": 1, "width": 4, "epochs": 1},
        "loop": "fully_synthetic",
        "n_ini": 40,
        "n_s": 40,
        "n_eval": 20,
        "generations": 2,
        "metrics": ["variance", "held_out_log_likelihood"],
    }
    told = run_chain(chain, seed=0).table()["held_out_log_likelihood"]
    assert np.isfinite(told).all()
    assert len(told) == 2
