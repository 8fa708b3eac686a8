"""WGAN-GP: its networks against plain convolutions, its gradients against differences, its steps against plain ones."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from madray.errors import BadInput, Damaged
from madray.generators.dcgan import Critic, LatentToImage, initialise, leaky
from madray.generators.protocol import NO_CHECKPOINT, State, no_progress
from madray.generators.training import learning_rate
from madray.generators.weights import Weights
from madray.generators.wgan_gp import Contest, WGANGPGenerator, critic_loss, from_bytes
from madray.references.digits import read_digits
from madray.samples import SampleSet
from madray.spec.generators import WGANGP
from madray.spec.references import Digits
from madray.streams import Stream

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 7, 5), (1, 1, 3)]
SMALL = {"width": 4, "latent": 8, "steps": 4, "batch": 6}


def images(shape: tuple[int, ...], n: int = 12) -> SampleSet:
    return SampleSet(Stream.of("images", *shape).numpy().integers(0, 256, size=(n, *shape), dtype=np.uint8))


def fitted(samples: SampleSet, **settings: object) -> WGANGPGenerator:
    generator = WGANGPGenerator(WGANGP(**{**SMALL, **settings}))
    generator.fit(samples, stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
    return generator


def drawn(network: Critic | LatentToImage) -> Weights:
    """The network's weights, all of them drawn, so that no bias is 0."""
    weights = Weights(network, torch.device("cpu"))
    initialise(network, Stream.of("network").torch())
    weights.values.add_(0.1 * torch.randn(weights.values.shape, generator=Stream.of("more").torch()))
    return weights


def noise(*shape: int, name: str = "x") -> Tensor:
    return torch.rand(shape, generator=Stream.of(name).torch(), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("shape", SHAPES)
def test_the_critic_is_convolutions_of_4_by_4_with_stride_2(shape: tuple[int, ...]) -> None:
    critic = Critic(shape, width=4)
    drawn(critic)
    critic.double()
    colours, x = shape[0], noise(5, *shape)
    # Over a block of 2 × 2 pixels, weights are [out, colour, row and column in the block, row and column of it].
    blocks = critic.first.weight.view(4, colours, 2, 2, 2, 2)
    first = blocks.permute(0, 1, 4, 2, 5, 3).reshape(4, colours, 4, 4)
    h = x
    for weight, bias in [(first, critic.first.bias), *((each.weight, each.bias) for each in critic.shrink)]:
        high, wide = h.shape[-2:]
        h = functional.pad(h, (0, wide % 2, 0, high % 2))
        h = functional.leaky_relu(functional.conv2d(h, weight, bias, stride=2, padding=1), 0.2)
    assert max(h.shape[-2:]) <= 4
    plain = critic.last(h.flatten(1))[:, 0]
    assert (critic(x) - plain).abs().max() < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_the_last_map_to_an_image_is_a_transposed_convolution(shape: tuple[int, ...]) -> None:
    network = LatentToImage(8, shape, width=4)
    drawn(network)
    network.double()
    before: list[Tensor] = []
    network.last.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0]))
    made = network(noise(5, 8))
    assert made.shape == (5, *shape)
    # The blocks lie one pixel off the image, and a transposed convolution runs its weights backwards.
    blocks = network.last.weight.view(shape[0], 2, 2, 4, 2, 2).flip(4, 5)
    weight = blocks.permute(3, 0, 4, 1, 5, 2).reshape(4, shape[0], 4, 4)
    plain = functional.conv_transpose2d(before[0], weight, stride=2, padding=1)
    plain = plain[..., : shape[1], : shape[2]] + bias_of(network, shape)
    assert (made - torch.tanh(plain)).abs().max() < 1e-12


def bias_of(network: LatentToImage, shape: tuple[int, ...]) -> Tensor:
    """A bias for each pixel of a block, where a transposed convolution has one for all."""
    high, wide = (-(-side // 2) + 1 for side in shape[1:])
    bias = network.last.bias.view(1, -1, 1, 1).expand(1, -1, high, wide)
    return functional.pixel_shuffle(bias, 2)[..., 1 : 1 + shape[1], 1 : 1 + shape[2]]


def test_the_leaky_rectifier_is_torchs() -> None:
    ours, torchs = (noise(100).requires_grad_() for _ in range(2))
    for h, made in [(ours, leaky(ours)), (torchs, functional.leaky_relu(torchs, 0.2))]:
        made.square().sum().backward()
        assert h.grad is not None
    assert (leaky(ours) - functional.leaky_relu(torchs, 0.2)).abs().max() < 1e-15
    assert (ours.grad - torchs.grad).abs().max() < 1e-15


@pytest.mark.parametrize("what", ["the penalty alone", "the whole loss"])
def test_the_gradient_of_the_critics_loss_is_that_of_differences(what: str) -> None:
    """Of real = fake nothing but the penalty is left. Ten directions over all weights; the loss is smooth but
    where an activation changes its sign, which steps of 10⁻⁶ do to none of these."""
    shape = (1, 9, 6)
    critic = Critic(shape, width=6)
    drawn(critic)
    critic.double()
    real, fake, mix = noise(8, *shape), noise(8, *shape, name="fake"), (noise(8, 1, 1, 1, name="u") + 1) / 2
    if what == "the penalty alone":
        fake = real

    def loss() -> Tensor:
        return critic_loss(critic, real, fake, mix, penalty=10)

    at = loss()
    at.backward()
    assert at.item() > 0.1
    parameters = list(critic.parameters())
    random = Stream.of("directions").torch()
    for _ in range(10):
        ways = [torch.randn(each.shape, generator=random, dtype=torch.float64) for each in parameters]
        told = sum((each.grad * way).sum().item() for each, way in zip(parameters, ways, strict=True))
        found = []
        for h in (1e-6, -1e-6):
            moved(parameters, ways, h)
            found.append(loss().item())
            moved(parameters, ways, -h)
        assert told == pytest.approx((found[0] - found[1]) / 2e-6, rel=1e-6, abs=1e-6)


def moved(parameters: list[torch.nn.Parameter], ways: list[Tensor], h: float) -> None:
    with torch.no_grad():
        for each, way in zip(parameters, ways, strict=True):
            each.add_(way, alpha=h)


def contest(samples: SampleSet, settings: WGANGP) -> tuple[Contest, LatentToImage]:
    network = LatentToImage(settings.latent, samples.shape, width=settings.width)
    weights = Weights(network, torch.device("cpu"))
    return Contest(samples.tensor(), network, weights, settings, Stream.of(0)), network


def test_steps_are_those_of_the_paper() -> None:
    """Algorithm 1 as it stands there, with torch's Adam and its own leaky rectifier, from the same numbers."""
    settings = WGANGP(**SMALL, learning_rate=1e-3, critic_learning_rate=2e-3)
    samples = images((1, 8, 8), 40)
    ours, network = contest(samples, settings)
    plain, critic = copy.deepcopy(network), copy.deepcopy(ours._critic)
    of_d = torch.optim.Adam(critic.parameters(), lr=1.0, betas=(0.0, 0.9))
    of_g = torch.optim.Adam(plain.parameters(), lr=1.0, betas=(0.0, 0.9))
    rounds, size = settings.critic_steps, settings.batch
    for step in range(settings.steps):
        ours.step(step)
        random = Stream.of(0).child("step", step).torch()
        chosen = torch.randint(40, (rounds, size), generator=random)
        u = torch.rand(rounds, size, 1, 1, 1, generator=random)
        z = torch.randn(rounds + 1, size, settings.latent, generator=random)
        for each in range(rounds):
            x, fake = from_bytes(samples.tensor()[chosen[each]]), plain(z[each]).detach()
            between = ((1 - u[each]) * x + u[each] * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = (slope.flatten(1).norm(dim=1) - 1) ** 2
            of_d.param_groups[0]["lr"] = learning_rate(
                step * rounds + each, peak=2e-3, warmup=0, steps=rounds * settings.steps
            )
            of_d.zero_grad()
            (critic(fake) - critic(x) + 10 * penalty).mean().backward()
            of_d.step()
        of_g.param_groups[0]["lr"] = learning_rate(step, peak=1e-3, warmup=0, steps=settings.steps)
        of_g.zero_grad()
        (-critic(plain(z[rounds]))).mean().backward()
        of_g.step()
    for one, other in [(network, plain), (ours._critic, critic)]:
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert (a - b).abs().max() < 1e-5


def test_the_weights_that_sample_are_averages_over_the_steps() -> None:
    settings, samples = WGANGP(**SMALL, ema=0.9), images((1, 8, 8))
    plain, _ = contest(samples, settings)
    for step in range(settings.steps):
        plain.step(step)
    told = fitted(samples, ema=0.9)._weights.values
    assert torch.equal(told, plain.generator.average)
    assert not torch.equal(told, plain.generator.weights.values)


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    one, other = (fitted(images((1, 8, 8)))._weights.values for _ in range(2))
    assert torch.equal(one, other)


class Kept:
    """A checkpoint of every step."""

    def __init__(self) -> None:
        self.newest: tuple[int, State] | None = None

    def restore(self) -> tuple[int, State] | None:
        return self.newest

    def offer(self, step, state) -> None:
        self.newest = (step, state())


def test_a_checkpoint_holds_both_networks_and_is_refused_by_others() -> None:
    kept = Kept()
    WGANGPGenerator(WGANGP(**SMALL)).fit(images((1, 8, 8)), stream=Stream.of(0), checkpoint=kept)
    assert kept.newest is not None
    assert {name.partition(".")[0] for name in kept.newest[1]} == {"generator", "critic"}
    with pytest.raises(Damaged, match="expected a checkpoint with weights of shape"):
        WGANGPGenerator(WGANGP(**SMALL)).fit(images((1, 9, 9)), stream=Stream.of(0), checkpoint=kept)


@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_size_are_made(shape: tuple[int, ...]) -> None:
    made = fitted(images(shape), steps=2).sample(5, bias=1.0, stream=Stream.of(1), labels=None)
    assert made.values.dtype == np.uint8
    assert made.values.shape == (5, *shape)


def test_lambda_is_the_variance_of_the_latent() -> None:
    model = fitted(images((1, 8, 8)))
    z = torch.randn(50, 8, generator=Stream.of("same").torch())
    for bias in (1.0, 0.25, 0.0):
        made = model.sample(50, bias=bias, stream=Stream.of("same"), labels=None).values
        with torch.inference_mode():
            expected = (model._network(math.sqrt(bias) * z).numpy() + 1) * 127.5
        assert np.abs(made - expected).max() <= 0.5 + 1e-3
    one_image = model.sample(50, bias=0.0, stream=Stream.of("same"), labels=None).values
    assert (one_image == one_image[0]).all()


def test_no_image_depends_on_those_made_with_it() -> None:
    network = fitted(images((1, 28, 28)))._network
    z = torch.randn(64, 8, generator=Stream.of("z").torch())
    with torch.inference_mode():  # float32 may be rounded another way in another batch
        assert (network(z)[:3] - network(z[:3])).abs().max() < 1e-5


def test_a_small_fit_comes_near_the_digits() -> None:
    """Mean and standard deviation of each pixel, after 100 steps; first weights correlate by 0.1 and by 0.6."""
    digits = read_digits(Digits())
    rates = {"learning_rate": 6e-3, "critic_learning_rate": 2e-3, "ema": 0.9}
    model = fitted(digits, width=16, latent=16, steps=100, batch=16, **rates)
    made = model.sample(500, bias=1.0, stream=Stream.of(1), labels=None).flat()
    for moment in (np.mean, np.std):
        assert np.corrcoef(moment(made, axis=0), moment(digits.flat(), axis=0))[0, 1] > 0.9
    assert np.abs(made.mean(axis=0) - digits.flat().mean(axis=0)).mean() < 0.1


def test_vectors_are_refused_before_training() -> None:
    with pytest.raises(BadInput, match=r"expected images for wgan_gp, got vectors of shape \(2,\); try flow"):
        fitted(SampleSet(np.zeros((9, 2), np.float32)))


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    with pytest.raises(RuntimeError, match="at step"):
        fitted(images((1, 8, 8)), learning_rate=1e30, critic_learning_rate=1e30)


@pytest.mark.gpu
def test_gradients_of_cuda_graphs_are_those_without() -> None:
    settings = WGANGP(**SMALL)
    network = LatentToImage(settings.latent, (1, 28, 28), width=settings.width)
    weights = Weights(network, torch.device("cuda"))
    both = Contest(images((1, 28, 28)).tensor().cuda(), network, weights, settings, Stream.of(0))
    random = Stream.of("batch").torch("cuda")
    for _ in range(3):  # each replay has inputs of its own
        real = torch.randint(256, (6, 1, 28, 28), generator=random, device="cuda").byte()
        fake = torch.rand(6, 1, 28, 28, generator=random, device="cuda") * 2 - 1
        mix = torch.rand(6, 1, 1, 1, generator=random, device="cuda")
        z = torch.randn(6, settings.latent, generator=random, device="cuda")
        pairs = [
            (both._judge, both.critic_gradient, (real, fake, mix), both.critic),
            (both._make, both.generator_gradient, (z,), both.generator),
        ]
        for replayed, eager, given, training in pairs:
            told = replayed(*given)
            gradient = training.weights.gradient.clone()
            assert gradient.abs().max() > 0
            assert eager(*given).item() == pytest.approx(told.item(), rel=1e-3, abs=1e-4)
            assert (training.weights.gradient - gradient).abs().max() <= 1e-3 * gradient.abs().max()
