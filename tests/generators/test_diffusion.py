"""Diffusion against closed forms: schedules, the posterior, exact sampling of a Gaussian, guidance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from madray.errors import BadInput
from madray.generators.captured import captured
from madray.generators.ddpm import DDPMGenerator
from madray.generators.denoisers import Denoiser
from madray.generators.devices import fits_memory
from madray.generators.diffusion import Epsilon, Schedule, Step, ancestral, ddim, guided, walk
from madray.generators.fused import fused
from madray.generators.networks import MLP, UNet
from madray.generators.protocol import NO_CHECKPOINT, State, no_progress
from madray.generators.scaling import Scale
from madray.generators.weights import Weights
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


def made_by(
    epsilon: Epsilon, schedule: Schedule, n: int = 20_000, steps: list[Step] | None = None
) -> torch.Tensor:
    return walk(
        epsilon,
        (n, 1),
        schedule=schedule,
        steps=steps or ancestral(schedule, "beta"),
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


def test_ddim_with_the_exact_score_of_a_gaussian_keeps_its_mean_and_nearly_its_variance() -> None:
    """With 250 of 500 steps; errors as above. It adds no noise: the same x_T gives the same x_0."""
    schedule = Schedule.cosine(500)
    steps = ddim(schedule, 250)
    assert [steps[0].t, steps[-1].t, len(steps)] == [500, 2, 250]
    made = made_by(exact_epsilon(schedule, 2.0, 0.5), schedule, steps=steps)
    assert made.mean().item() == pytest.approx(2.0, abs=5 * 0.0035 + 0.01)
    assert made.std().item() == pytest.approx(0.5, abs=5 * 0.0025 + 0.01)
    assert all(step.sigma == 0 for step in steps)


def test_guidance_is_its_definition() -> None:
    """ε = (1 + w) ε(x, y) − w ε(x) with w = 1/λ − 1, for any pair of answers."""
    conditional, unconditional = torch.tensor([[1.0], [2.0]]), torch.tensor([[5.0], [-3.0]])
    for bias in (0.8, 0.5, 0.1):
        w = 1 / bias - 1
        expected = (1 + w) * conditional - w * unconditional
        epsilon = guided(lambda x, t: (conditional, unconditional), bias)
        assert epsilon(torch.zeros(2, 1), 3) == pytest.approx(expected, abs=1e-5)


def test_guidance_between_the_modes_of_a_mixture_follows_the_sharpened_density() -> None:
    """P_r = Σ_y N(m_y, s²) / 3, noised: guided ε = −√(1 − ᾱ) ∂ log [p(x | y)^(1 + w) / p(x)^w], whose right side
    is differentiated in float64 and whose left side is two closed forms."""
    schedule, means, std = Schedule.cosine(500), torch.tensor([-1.5, 0.5, 2.0], dtype=torch.float64), 0.4
    x = torch.linspace(-4, 4, 33, dtype=torch.float64).requires_grad_()
    for t, bias in ((5, 0.5), (120, 0.8), (400, 0.3)):
        signal = float(schedule.signal[t])
        variance, w = signal * std**2 + 1 - signal, 1 / bias - 1
        log_p = -((x[:, None] - signal**0.5 * means) ** 2) / (2 * variance)
        sharpened = (1 + w) * log_p[:, 0] - w * torch.logsumexp(log_p, dim=1)
        (slope,) = torch.autograd.grad(sharpened.sum(), x)

        def both(x: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
            signal = float(schedule.signal[t])
            variance = signal * std**2 + 1 - signal
            apart = (x[:, None] - signal**0.5 * means) * ((1 - signal) ** 0.5 / variance)
            share = torch.softmax(-((x[:, None] - signal**0.5 * means) ** 2) / (2 * variance), dim=1)
            return apart[:, 0], (share * apart).sum(dim=1)

        epsilon = guided(both, bias)(x.detach(), t)
        assert epsilon == pytest.approx(-((1 - signal) ** 0.5) * slope, abs=1e-10)


def test_guidance_between_two_gaussians_moves_samples_away_from_the_unconditional_one() -> None:
    """With exact scores of N(1, 1) (conditional) and N(0, 1), ε is linear in the means: guidance by λ samples
    N(1/λ, 1). 20,000 samples: standard error 0.007 of the mean; five of them by chance: 6e-7."""
    schedule = Schedule.cosine(500)
    one, zero = exact_epsilon(schedule, 1.0, 1.0), exact_epsilon(schedule, 0.0, 1.0)
    made = made_by(guided(lambda x, t: (one(x, t), zero(x, t)), 0.5), schedule)
    assert made.mean().item() == pytest.approx(2.0, abs=5 * 0.007 + 0.01)
    assert made.std().item() == pytest.approx(1.0, abs=5 * 0.005 + 0.01)


def unet(shape: tuple[int, ...] = (1, 9, 10), tau: float | None = None) -> Denoiser:
    """With weights that are not 0 anywhere, and for data of one τ or of one for each pixel."""
    spread = Stream.of("spread").numpy().random(shape).astype(np.float32)
    if tau is not None:
        spread[:] = tau
    denoiser = Denoiser(
        shape,
        classes=3,
        schedule=Schedule.cosine(20),
        spread=spread,
        width=32,
        depth=3,
        patch=2,
        device=torch.device("cpu"),
    )
    weights = Weights(denoiser, torch.device("cpu"))
    weights.values.copy_(torch.randn(len(weights.values), generator=Stream.of("weights").torch()) / 5)
    return denoiser


def test_what_sampling_asks_of_a_network_is_what_training_asks() -> None:
    """One time for all and the label's part computed before; both branches in one batch: the same ε."""
    denoiser = unet()
    assert isinstance(denoiser.network, UNet)
    z = torch.randn((4, 1, 9, 10), generator=Stream.of("z").torch())
    y, none = torch.tensor([0, 2, 1, 2]), torch.full((4,), 3)
    for t in (1, 7, 20):
        one = torch.tensor([t])
        expected = denoiser(z, one.expand(4), y)
        assert expected.abs().max() > 0.1
        made = denoiser.labelled(z, one, denoiser.tell(y))
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
        with_labels, without = denoiser.both(z, one, denoiser.tell(torch.cat([y, none]))).chunk(2)
        torch.testing.assert_close(with_labels, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(without, denoiser(z, one.expand(4), none), rtol=1e-4, atol=1e-5)


def test_the_way_down_a_u_net_sees_no_label_and_the_way_up_does() -> None:
    denoiser = unet()
    z = torch.randn((1, 1, 9, 10), generator=Stream.of("z").torch()).expand(2, -1, -1, -1)
    made = denoiser(z, torch.tensor([5, 5]), torch.tensor([0, 1]))
    assert (made[0] - made[1]).abs().max() > 1e-3


def fitted(samples: SampleSet) -> DDPMGenerator:
    settings = DDPM(timesteps=9, steps=5, warmup=1, width=8, depth=1, batch=4, chunk=6)
    generator = DDPMGenerator(settings)
    generator.fit(samples, stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
    return generator


POINTS = np.float32([[0, 1], [2, 3], [4, 5]])


def test_a_class_and_a_time_are_told_at_the_same_length() -> None:
    denoiser = unet()
    lengths = denoiser.time.norm(dim=1)
    assert torch.allclose(lengths, denoiser.label.norm(dim=1)[0].expand_as(lengths), rtol=1e-5)


def test_the_loss_weighs_what_the_network_itself_gets_wrong_up_to_a_bound() -> None:
    """With one τ for all coordinates, what F gets wrong comes to ε times `out`: weight × out² is 1."""
    denoiser = unet(tau=0.5)
    undone = denoiser.weight * denoiser.out.flatten(1)[:, 0] ** 2
    bound = denoiser.weight == 5
    assert torch.allclose(undone[1:][~bound[1:]], torch.ones(1), rtol=1e-4)
    assert bound[1:].any() and not bound[1:].all()
    assert (undone[bound] <= 1).all()


@pytest.mark.parametrize(("bias", "rows"), [(1.0, 6), (0.5, 12)])
def test_lambda_1_does_no_unconditional_pass_and_less_does_both_in_one(
    monkeypatch: pytest.MonkeyPatch, bias: float, rows: int
) -> None:
    generator = fitted(SampleSet(POINTS, np.array([0, 1, 1]), 2))
    encoded, decoded = [], []
    network = generator._denoiser.network
    encode, decode = network.encode, network.decode
    monkeypatch.setattr(network, "encode", lambda z, time: encoded.append(len(z)) or encode(z, time))
    monkeypatch.setattr(network, "decode", lambda seen, told: decoded.append(len(told)) or decode(seen, told))
    generator.sample(6, bias=bias, stream=Stream.of(1), labels=np.zeros(6, np.int64))
    assert encoded == [6] * 9
    assert decoded == [rows] * 9


@pytest.mark.parametrize("shape", [(2,), (1, 12, 10)])
def test_the_generator_guides_away_from_no_label_towards_the_label(shape: tuple[int, ...]) -> None:
    """ε = (1 + w) ε(x, y) − w ε(x) with w = 1 at λ = 0.5, of networks whose weights are drawn, none of them 0."""
    settings = DDPM(timesteps=9, steps=2, warmup=1, width=32, depth=2, batch=4)
    generator, n = DDPMGenerator(settings), 6
    drawn = Stream.of("samples").numpy()
    values = drawn.integers(256, size=(n, *shape), dtype=np.uint8)
    samples = SampleSet(values if len(shape) == 3 else values.astype(np.float32), np.arange(n) % 3, 3)
    generator.fit(samples, stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
    weights = generator._weights.values
    weights.copy_(torch.randn(len(weights), generator=Stream.of("weights").torch()))
    generator._denoiser.condition.weight.data.mul_(4)  # labels are heard
    denoiser = generator._denoiser
    assert isinstance(denoiser.network, UNet if len(shape) == 3 else MLP)
    x, y = torch.randn((n, *shape), generator=Stream.of("x").torch()), torch.from_numpy(samples.labels)
    with torch.no_grad():
        for t in (1, 4, 6):
            at = torch.full((n,), t)
            labelled, unlabelled = denoiser(x, at, y), denoiser(x, at, torch.full((n,), 3))
            assert (
                labelled - unlabelled
            ).norm() > 0.01 * labelled.norm()  # far from right the other way round
            made = generator._epsilon(y, 0.5)(x, t)
            torch.testing.assert_close(made, 2 * labelled - unlabelled, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(generator._epsilon(y, 1.0)(x, t), labelled, rtol=1e-4, atol=1e-5)


def test_without_labels_there_is_nothing_to_guide_by() -> None:
    generator = fitted(SampleSet(POINTS))
    assert generator.classes is None
    with pytest.raises(BadInput, match="without labels"):
        generator.sample(3, bias=0.5, stream=Stream.of(1), labels=None)


class Kept:
    """A checkpoint that takes every offer it is made."""

    def __init__(self) -> None:
        self.last: tuple[int, State] | None = None

    def restore(self) -> tuple[int, State] | None:
        return self.last

    def offer(self, step: int, state: Callable[[], State]) -> None:
        self.last = step, state()


LONGER = DDPM(timesteps=9, steps=60, warmup=1, width=8, depth=1, batch=4)


def poison(patch: pytest.MonkeyPatch, step: int) -> None:
    """The gradient of this step, counted from 1, is NaN; its loss is not."""
    differentiate, steps = Weights.differentiate, []

    def poisoned(weights: Weights, loss: torch.Tensor) -> None:
        differentiate(weights, loss)
        steps.append(1)
        if len(steps) == step:
            weights.gradient.fill_(torch.nan)

    patch.setattr(Weights, "differentiate", poisoned)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (False, r"^expected a finite loss, got nan at step 3 \(there is no checkpoint yet\); try"),
        (
            True,
            r"^expected finite weights and moments, got nan in weights at step 3 "
            r"\(the last good checkpoint is that of step 2\); try",
        ),
    ],
)
def test_what_is_not_finite_names_the_step_and_the_last_good_checkpoint(kept: bool, told: str) -> None:
    """The third step spoils the weights; the loss of the fourth, step 3 from 0, is the first to tell."""
    checkpoint = Kept() if kept else NO_CHECKPOINT
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match=told):
        poison(patch, 3)
        DDPMGenerator(LONGER).fit(
            SampleSet(POINTS), stream=Stream.of(0), checkpoint=checkpoint, progress=no_progress
        )


def test_what_a_poisoned_fit_leaves_is_finite_and_a_resume_equals_a_fit_never_poisoned() -> None:
    checkpoint, resumed, unhurt = Kept(), DDPMGenerator(LONGER), DDPMGenerator(LONGER)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        poison(patch, 3)
        DDPMGenerator(LONGER).fit(
            SampleSet(POINTS), stream=Stream.of(0), checkpoint=checkpoint, progress=no_progress
        )
    assert checkpoint.last is not None
    assert checkpoint.last[0] == 2
    assert all(np.isfinite(array).all() for array in checkpoint.last[1].values())
    resumed.fit(SampleSet(POINTS), stream=Stream.of(0), checkpoint=checkpoint, progress=no_progress)
    unhurt.fit(SampleSet(POINTS), stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
    assert torch.equal(resumed._weights.values, unhurt._weights.values)


def test_a_fit_whose_last_step_is_poisoned_does_not_end_as_if_it_were_good() -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="weights at step 60"):
        poison(patch, 60)
        DDPMGenerator(LONGER).fit(
            SampleSet(POINTS), stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_not_finite_become_no_bytes(bad: float) -> None:
    scale = Scale.of(SampleSet(np.full((3, 1, 2, 2), 7, np.uint8)))
    z = np.zeros((3, 1, 2, 2), np.float32)
    assert (scale.outwards(z) == 7).all()
    z[1, 0, 1, 1] = bad
    with pytest.raises(RuntimeError, match="expected finite pixels, got others in 1 of 3 images"):
        scale.outwards(z)


def test_a_gpu_without_room_is_said_with_the_size_to_try() -> None:
    """What a GPU raises is raised here; there is none."""
    with pytest.raises(BadInput, match="try chunk = 250"), fits_memory("chunk", 500):
        raise torch.OutOfMemoryError


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


@pytest.mark.gpu
def test_on_a_gpu_one_graph_of_fused_kernels_in_bf16_answers_as_float32_does() -> None:
    """Weights and inputs are random; bf16 keeps 8 bits, and the scales of a denoiser keep its part of ε small."""
    device = torch.device("cuda")
    samples = SampleSet(Stream.of("x").numpy().integers(256, size=(50, 1, 28, 28), dtype=np.uint8))
    generator = DDPMGenerator(DDPM(steps=60, warmup=5, width=64, depth=2, batch=16))
    generator.fit(samples, stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
    denoiser = generator._denoiser
    z, t = torch.randn((50, 1, 28, 28), device=device), torch.tensor([300], device=device)
    with torch.inference_mode():
        told = denoiser.tell(torch.zeros(50, dtype=torch.long, device=device))
        fast = captured(fused(denoiser.labelled, device), z, t, told)
        for each in (t, t - 200):
            exact = denoiser.labelled(z, each, told)
            assert (fast(z, each, told) - exact).norm() < 0.01 * exact.norm()
