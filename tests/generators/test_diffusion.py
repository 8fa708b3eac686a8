"""Diffusion against closed forms: schedules, the posterior, exact sampling of a Gaussian, guidance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from madray.errors import BadInput
from madray.generators.ddpm import DDPMGenerator
from madray.generators.diffusion import Epsilon, Schedule, ancestral, guided
from madray.generators.protocol import NO_CHECKPOINT, no_progress
from madray.samples import SampleSet
from madray.spec.generators import DDPM
from madray.streams import Stream


@pytest.mark.parametrize("schedule", [Schedule.cosine(500), Schedule.linear(500), Schedule.cosine(7)])
def test_a_schedule_goes_from_the_sample_to_noise(schedule: Schedule) -> None:
    assert schedule.signal[0] == 1
    assert (np.diff(schedule.signal) < 0).all()
    assert schedule.signal[-1] < 1e-3
    assert schedule.signal == pytest.approx(np.cumprod(1 - schedule.beta))


def test_the_posterior_is_that_of_two_gaussians() -> None:
    """q(x_{t−1} | x_t, x_0) by Bayes' rule from the joint Gaussian of (x_{t−1}, x_t) given x_0."""
    schedule = Schedule.linear(50)
    for t in (1, 2, 25, 50):
        a, b, variance = schedule.posterior(t)
        before, alpha = schedule.signal[t - 1], 1 - schedule.beta[t]
        # x_{t−1} ~ N(√ᾱ_{t−1} x_0, 1 − ᾱ_{t−1}), x_t = √α x_{t−1} + √β z.
        gain = alpha**0.5 * (1 - before) / (alpha * (1 - before) + schedule.beta[t])
        assert b == pytest.approx(gain)
        assert a == pytest.approx(before**0.5 * (1 - gain * alpha**0.5))
        assert variance == pytest.approx((1 - before) * (1 - gain * alpha**0.5))


def exact_epsilon(schedule: Schedule, mean: float, std: float) -> Epsilon:
    """E[ε | x_t] where x_0 ~ N(mean, std²): the best that any network can answer."""

    def epsilon(x: torch.Tensor, t: int) -> torch.Tensor:
        signal = float(schedule.signal[t])
        variance = signal * std**2 + 1 - signal
        return (x - signal**0.5 * mean) * ((1 - signal) ** 0.5 / variance)

    return epsilon


def made_by(epsilon: Epsilon, schedule: Schedule, n: int = 20_000) -> torch.Tensor:
    return ancestral(
        epsilon,
        (n, 1),
        schedule=schedule,
        variance="beta",
        bounds=None,
        generator=Stream.of("exact").torch(),
    )


def test_with_the_exact_score_of_a_gaussian_samples_have_its_mean_and_variance() -> None:
    """20,000 samples: standard errors 0.0035 of the mean and 0.0025 of the standard deviation; five of them by
    chance: 6e-7 each. T = 500 steps leave a bias of about 1 % in the standard deviation, which is allowed for."""
    schedule = Schedule.cosine(500)
    made = made_by(exact_epsilon(schedule, 2.0, 0.5), schedule)
    assert made.mean().item() == pytest.approx(2.0, abs=5 * 0.0035 + 0.005)
    assert made.std().item() == pytest.approx(0.5, abs=5 * 0.0025 + 0.01)


def test_guidance_is_its_definition() -> None:
    """ε = (1 + w) ε(x, y) − w ε(x) with w = 1/λ − 1, for any pair of answers."""
    conditional, unconditional = torch.tensor([[1.0], [2.0]]), torch.tensor([[5.0], [-3.0]])
    both: Epsilon = lambda x, t: torch.cat([conditional, unconditional])  # noqa: E731 - the signature says it
    for bias in (0.8, 0.5, 0.1):
        w = 1 / bias - 1
        expected = (1 + w) * conditional - w * unconditional
        assert guided(both, bias)(torch.zeros(2, 1), 3) == pytest.approx(expected, abs=1e-5)


def test_guidance_between_two_gaussians_moves_samples_away_from_the_unconditional_one() -> None:
    """With exact scores of N(1, 1) (conditional) and N(0, 1), ε is linear in the means: guidance by λ samples
    N(1/λ, 1). 20,000 samples: standard error 0.007 of the mean; five of them by chance: 6e-7."""
    schedule = Schedule.cosine(500)
    one, zero = exact_epsilon(schedule, 1.0, 1.0), exact_epsilon(schedule, 0.0, 1.0)

    def both(x: torch.Tensor, t: int) -> torch.Tensor:
        first, second = x.chunk(2)
        return torch.cat([one(first, t), zero(second, t)])

    made = made_by(guided(both, 0.5), schedule)
    assert made.mean().item() == pytest.approx(2.0, abs=5 * 0.007 + 0.01)
    assert made.std().item() == pytest.approx(1.0, abs=5 * 0.005 + 0.01)


def fitted(samples: SampleSet) -> DDPMGenerator:
    settings = DDPM(timesteps=9, steps=5, warmup=1, width=8, depth=1, batch=4, chunk=6)
    generator = DDPMGenerator(settings)
    generator.fit(samples, stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
    return generator


POINTS = np.float32([[0, 1], [2, 3], [4, 5]])


@pytest.mark.parametrize(("bias", "rows"), [(1.0, 6), (0.5, 12)])
def test_lambda_1_does_no_unconditional_pass_and_less_does_both_in_one(
    monkeypatch: pytest.MonkeyPatch, bias: float, rows: int
) -> None:
    generator = fitted(SampleSet(POINTS, np.array([0, 1, 1]), 2))
    asked = []
    network = generator._denoiser.network
    forward = network.forward
    monkeypatch.setattr(
        network, "forward", lambda z, *rest, **more: asked.append(len(z)) or forward(z, *rest, **more)
    )
    generator.sample(6, bias=bias, stream=Stream.of(1), labels=np.zeros(6, np.int64))
    assert asked == [rows] * 9


def test_without_labels_there_is_nothing_to_guide_by() -> None:
    generator = fitted(SampleSet(POINTS))
    assert generator.classes is None
    with pytest.raises(BadInput, match="without labels"):
        generator.sample(3, bias=0.5, stream=Stream.of(1), labels=None)


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    settings = DDPM(timesteps=9, steps=60, warmup=1, width=8, depth=1, batch=4, learning_rate=1e30)
    generator = DDPMGenerator(settings)
    with pytest.raises(RuntimeError, match="at step"):
        generator.fit(SampleSet(POINTS), stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)


def test_a_small_fit_learns_which_class_is_where() -> None:
    """Two classes, N((∓2, ∓2), 0.5²): every sample lies on its own class's side, which is 5.6 standard
    deviations wide, so that a right model fails once in 10⁶ runs of 100 samples."""
    settings = DDPM(timesteps=100, steps=600, warmup=20, width=64, depth=2, batch=64, learning_rate=3e-3)
    labels = np.repeat(np.int64([0, 1]), 100)
    values = (4 * labels - 2)[:, None] + 0.5 * Stream.of("classes").numpy().normal(size=(200, 2))
    generator = DDPMGenerator(settings)
    generator.fit(
        SampleSet(values.astype(np.float32), labels, 2),
        stream=Stream.of(0),
        checkpoint=NO_CHECKPOINT,
        progress=no_progress,
    )
    asked = np.repeat(np.int64([0, 1]), 50)
    made = generator.sample(100, bias=1.0, stream=Stream.of(1), labels=asked).values
    assert ((made.sum(axis=1) > 0).astype(int) == asked).all()
