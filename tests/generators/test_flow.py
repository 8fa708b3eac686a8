"""Normalizing flows: likelihood against integrals and closed forms, the inverse, λ, collapse."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch

from madray.errors import BadInput
from madray.generators.couplings import Couplings
from madray.generators.flow import FlowGenerator
from madray.generators.protocol import NO_CHECKPOINT, no_progress
from madray.generators.weights import Weights
from madray.references.analytic import RosenbrockReference
from madray.samples import SampleSet
from madray.spec.generators import Flow
from madray.spec.references import Rosenbrock
from madray.streams import Stream

ENTROPY = math.log(math.sqrt(2) * math.pi) + 1
"""−E log p of the Rosenbrock reference, in nats: that of N(0, 1) and that of N(0, 1/2)."""


def rosenbrock(n: int, name: str = "real") -> SampleSet:
    return RosenbrockReference(Rosenbrock()).draw(n, Stream.of("flow", name))


def fitted(samples: SampleSet, **settings: object) -> FlowGenerator:
    generator = FlowGenerator(Flow(**settings))
    generator.fit(samples, stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
    return generator


@functools.cache
def banana() -> FlowGenerator:
    """Fitted to 4,000 samples of the Rosenbrock reference, with the settings of the paper but for 10 epochs."""
    return fitted(rosenbrock(4000), epochs=10)


def some_couplings(d: int) -> Couplings:
    """With every weight drawn, so that no part is still the identity."""
    flow = Couplings(d, layers=8, width=64)
    weights = Weights(flow, torch.device("cpu"))
    flow.initialise(Stream.of("couplings").torch())
    weights.values.add_(0.1 * torch.randn(weights.values.shape, generator=Stream.of("more").torch()))
    return flow.double()


@pytest.mark.parametrize("bias", [1.0, 0.5])
def test_the_likelihood_integrates_to_1(bias: float) -> None:
    x1, x2 = np.linspace(-8, 8, 321), np.linspace(-8, 40, 481)
    points = np.stack(np.meshgrid(x1, x2, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)
    density = np.exp(banana().log_likelihood(SampleSet(points), bias=bias))
    assert density.sum() * (x1[1] - x1[0]) * (x2[1] - x2[0]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_inverse_undoes_the_map(d: int) -> None:
    flow = some_couplings(d)
    x = 3 * torch.randn((1000, d), generator=Stream.of("x").torch(), dtype=torch.float64)
    with torch.inference_mode():
        assert (flow.inverse(flow(x)[0]) - x).abs().max() < 1e-5
        assert (flow(flow.inverse(x))[0] - x).abs().max() < 1e-5


def test_the_inverse_undoes_the_map_that_was_fitted() -> None:
    model = banana()
    z = torch.from_numpy(model._standard.inwards(rosenbrock(20_000, "fresh").flat()))
    with torch.inference_mode():
        assert (model._flow.inverse(model._flow(z)[0]) - z).abs().max() < 1e-5


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_volume_is_the_jacobians(d: int) -> None:
    flow = some_couplings(d)
    for x in torch.randn((4, d), generator=Stream.of("x").torch(), dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0][0], x)
        assert flow(x[None])[1].item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-9)


def test_samples_have_the_likelihood_that_is_told() -> None:
    """Importance sampling: E over the model's samples of p_r / p is 1, as no mass of p_r is far from the model.
    The weights of 20,000 samples have a standard deviation below 1: standard error 0.007; six of them by chance:
    2e-9."""
    made = banana().sample(20_000, bias=1.0, stream=Stream.of("made"), labels=None)
    x1, x2 = made.values.astype(np.float64).T
    log_reference = -(x1**2) / 2 - (x2 - x1**2) ** 2 - math.log(math.sqrt(2) * math.pi)
    weights = np.exp(log_reference - banana().log_likelihood(made))
    assert weights.std() < 1
    assert weights.mean() == pytest.approx(1, abs=6 * 0.007)


def test_a_fit_comes_near_the_entropy_of_the_reference() -> None:
    """KL(p_r, p) = −E log p − entropy ≥ 0. log p of 20,000 samples has a standard deviation of about 1: standard
    error 0.007; six of them by chance: 2e-9."""
    divergence = -banana().log_likelihood(rosenbrock(20_000, "fresh")).mean() - ENTROPY
    assert -6 * 0.007 < divergence < 0.05 + 6 * 0.007


def test_the_held_out_likelihood_is_that_of_samples_it_was_not_trained_on() -> None:
    """400 samples held out: standard error 0.05; six of them by chance: 2e-9."""
    told = banana().held_out_log_likelihood
    assert told is not None
    assert told == pytest.approx(banana().log_likelihood(rosenbrock(20_000, "fresh")).mean(), abs=6 * 0.05)
    # A long fit of few samples knows by heart those it was trained on, and tells the others' likelihood.
    few = rosenbrock(40)
    overfitted = fitted(few, epochs=400, held_out=0.5)
    order = Stream.of(0).child("held_out").numpy().permutation(40)
    likelihood = overfitted.log_likelihood(few)
    assert overfitted.held_out_log_likelihood == pytest.approx(likelihood[order[:20]].mean())
    assert likelihood[order[20:]].mean() > likelihood[order[:20]].mean() + 1


def test_nothing_held_out_has_no_likelihood() -> None:
    assert fitted(rosenbrock(40), epochs=1, held_out=0.0).held_out_log_likelihood is None


def test_lambda_narrows_towards_one_point() -> None:
    spread = [
        float(banana().sample(5000, bias=bias, stream=Stream.of("same"), labels=None).values[:, 0].std())
        for bias in (1.0, 0.5, 0.1, 0.0)
    ]
    assert spread == sorted(spread, reverse=True)
    assert spread[3] == 0
    # The density at λ is highest where the samples at λ are.
    made = banana().sample(5000, bias=0.1, stream=Stream.of("same"), labels=None)
    assert banana().log_likelihood(made, bias=0.1).mean() > banana().log_likelihood(made).mean()


def test_lambda_scales_the_variance_of_a_single_coordinate_that_varies() -> None:
    """f is affine there, so of one stream samples at λ are x_0 + √λ (x − x_0) with x_0 that of λ = 0."""
    values = np.zeros((500, 2), np.float32)
    values[:, 0] = 3 + 2 * Stream.of("normal").numpy().standard_normal(500)
    model = fitted(SampleSet(values), epochs=5)
    draws = {
        bias: model.sample(50, bias=bias, stream=Stream.of("same"), labels=None).values.astype(np.float64)
        for bias in (1.0, 0.25, 0.0)
    }
    assert draws[0.25] - draws[0.0] == pytest.approx((draws[1.0] - draws[0.0]) / 2, abs=1e-5)


@pytest.mark.parametrize("bias", [1.0, 0.0])
def test_what_never_varies_comes_back_as_it_is(bias: float) -> None:
    values = rosenbrock(200).values.copy()
    values[:, 1] = 0.1
    made = fitted(SampleSet(values), epochs=2).sample(30, bias=bias, stream=Stream.of(1), labels=None)
    assert (made.values[:, 1] == np.float32(0.1)).all()


@pytest.mark.parametrize("n", [1, 3001])
def test_equal_samples_give_that_one_sample_and_a_likelihood_of_nothing(n: int) -> None:
    samples = SampleSet(np.tile(np.float32([0.1, 7.0]), (n, 1)))
    model = fitted(samples)
    assert (model.sample(5, bias=1.0, stream=Stream.of(1), labels=None).values == samples.values[0]).all()
    assert (model.log_likelihood(samples) == 0).all()


COLLAPSED = {
    "two points": np.repeat(np.float32([[0, 1], [2, 5]]), 300, axis=0),
    "a line": np.outer(np.linspace(-1, 1, 600), [1, 2]).astype(np.float32),
    "neighbouring numbers": np.float32(1000)
    + np.float32([[0, 0], [1, 2], [2, 0]] * 200) * np.float32(2**-14),
    "one far away": np.concatenate([rosenbrock(599).values, np.float32([[1e6, -1e6]])]),
}


@pytest.mark.parametrize("what", list(COLLAPSED))
def test_collapsed_samples_are_a_result(what: str) -> None:
    model = fitted(SampleSet(COLLAPSED[what]))
    assert np.isfinite(model.sample(500, bias=1.0, stream=Stream.of(1), labels=None).values).all()
    assert model.held_out_log_likelihood is not None
    assert math.isfinite(model.held_out_log_likelihood)


def test_images_and_single_numbers_are_refused_before_training() -> None:
    with pytest.raises(BadInput, match=r"got images of shape \(1, 4, 4\); try ddpm"):
        fitted(SampleSet(np.zeros((9, 1, 4, 4), np.uint8)))
    with pytest.raises(BadInput, match="2 numbers or more for flow, got 1"):
        fitted(SampleSet(np.zeros((9, 1), np.float32)))


def test_a_likelihood_at_lambda_0_is_refused() -> None:
    with pytest.raises(BadInput, match=r"λ in \(0, 1\]"):
        banana().log_likelihood(rosenbrock(3), bias=0.0)


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    with pytest.raises(RuntimeError, match="at step"):
        fitted(rosenbrock(300), learning_rate=1e30)
