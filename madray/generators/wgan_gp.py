"""A Wasserstein GAN with gradient penalty: images from noise, without labels, trained against a critic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from madray.errors import BadInput
from madray.generators.captured import captured
from madray.generators.dcgan import Critic, LatentToImage, initialise
from madray.generators.devices import best_device
from madray.generators.folders import read_model, write_model
from madray.generators.protocol import (
    NO_CHECKPOINT,
    Checkpoint,
    Progress,
    State,
    check_bias,
    no_progress,
)
from madray.generators.training import Pace, Training, Watch
from madray.generators.weights import Weights
from madray.samples import SampleSet
from madray.spec.generators import WGANGP
from madray.streams import Stream

BETAS = (0.0, 0.9)
"""Adam's, of both networks."""


class WGANGPGenerator:
    """G(z), z ~ N(0, I), trained so that a critic D of slope 1 cannot tell its images from real ones.

        loss of D = E D(G(z)) − E D(x) + c E (|∇D(x̂)| − 1)²,   x̂ = x + u (G(z) − x),   u ~ U(0, 1)
        loss of G = −E D(G(z))

    c is `penalty`. D takes `critic_steps` steps before each of G. λ samples z from N(0, λI); λ = 0 repeats
    the one image G(0). Images carry no labels, whatever the training set carried.

    Bytes are scaled to [−1, 1], where a tanh ends G, and come back rounded. The networks have no batch
    normalisation: no sample depends on those made with it, and the penalty is one of each image.

    Adam with β = (0, 0.9), its rate decaying along a cosine; the weights that sample are an exponential
    average over the steps if `ema` says so. A batch is drawn with replacement. All that is random in step i
    of G, and in the steps of D before it, comes from `stream/step/i` alone, so a fit that was stopped goes on
    as if it had not been. Computes on a CUDA device where there is one; both gradients are CUDA graphs there.

    Source: Gulrajani et al. 2017 (arXiv:1704.00028), algorithm 1, eq. 3: 5 steps of D, c = 10, Adam with
    α = 10⁻⁴ and this β. λ is that of Alemohammad et al. 2023 (arXiv:2307.01850) for flows; that of a GAN is
    ours, and so are decay, averaging and the length of a fit.

    >>> from madray.generators.protocol import sample
    >>> model = WGANGPGenerator(WGANGP(width=4, latent=8, steps=3, batch=4))
    >>> images = np.random.default_rng(0).integers(256, size=(9, 1, 8, 8), dtype=np.uint8)
    >>> model.fit(SampleSet(images), stream=Stream.of(0))
    >>> made = sample(model, 4, chunk=3, bias=0.5, stream=Stream.of(1))
    >>> made.values.shape, made.values.dtype.name
    ((4, 1, 8, 8), 'uint8')
    """

    def __init__(self, settings: WGANGP) -> None:
        self.settings = settings

    def fit(
        self,
        samples: SampleSet,
        *,
        stream: Stream,
        checkpoint: Checkpoint = NO_CHECKPOINT,
        progress: Progress = no_progress,
    ) -> None:
        """Train from scratch, or go on from the newest checkpoint.

        Raises: BadInput, if samples are vectors; RuntimeError, naming the step, if a loss is not finite;
            Damaged, if the checkpoint is one of other networks.
        """
        if not samples.is_image:
            raise BadInput(
                f"expected images for wgan_gp, got vectors of shape {samples.shape}; try flow or ddpm"
            )
        device, steps = best_device(), self.settings.steps
        weights = self._become(samples.shape, device)
        contest = Contest(samples.tensor().to(device), self._network, weights, self.settings, stream)
        watch = Watch(contest, steps=steps, checkpoint=checkpoint, progress=progress)
        for step in range(contest.restore(checkpoint), steps):
            watch.step(step, contest.step(step))
        weights.values.copy_(contest.generator.average)

    @torch.inference_mode()
    def sample(
        self, n: int, *, bias: float, stream: Stream, labels: NDArray[np.int64] | None = None
    ) -> SampleSet:
        """n images G(√λ ε), ε ~ N(0, I).

        Returns: values of shape (n, *shape), uint8, without labels.

        Raises: BadInput, if λ is outside [0, 1].
        """
        check_bias(bias)
        device = self._weights.values.device
        epsilon = torch.randn(n, self.settings.latent, generator=stream.torch(device), device=device)
        return SampleSet(to_bytes(self._network(bias**0.5 * epsilon)).cpu().numpy())

    @property
    def classes(self) -> int | None:
        """None: the model knows no labels."""
        return None

    def save(self, folder: Path) -> None:
        """Write the weights of G, and the shape of an image."""
        write_model(folder, self._weights.arrays(), {"shape": list(self._shape)})

    def load(self, folder: Path) -> None:
        """Become what was saved there.

        Raises: Damaged, if it is not whole, or of other settings.
        """
        arrays, told = read_model(folder, told=["shape"])
        self._become(tuple(told["shape"]), best_device()).read(arrays)

    def _become(self, shape: tuple[int, ...], device: torch.device) -> Weights:
        """A model of images of this shape, with weights still to be filled."""
        self._shape = shape
        self._network = LatentToImage(self.settings.latent, shape, width=self.settings.width)
        self._weights = Weights(self._network, device)
        return self._weights


class Contest:
    """G and D, and all that their training carries from step to step."""

    def __init__(
        self, images: Tensor, network: LatentToImage, weights: Weights, settings: WGANGP, stream: Stream
    ) -> None:
        shape, device = images.shape[1:], images.device
        self._images, self._settings, self._stream = images, settings, stream
        self._network, self._critic = network, Critic(shape, width=settings.width)
        judging = Weights(self._critic, device)
        initialise(network, stream.child("generator").torch())
        initialise(self._critic, stream.child("critic").torch())

        def pace(peak: float, steps: int, ema: float) -> Pace:
            return Pace(peak, warmup=0, steps=steps, ema=ema, betas=BETAS)

        rounds = settings.critic_steps * settings.steps
        self.generator = Training(weights, pace(settings.learning_rate, settings.steps, settings.ema))
        self.critic = Training(judging, pace(settings.critic_learning_rate, rounds, 0.0))
        size = settings.batch
        some = torch.zeros(size, *shape, device=device)
        self._judge = captured(self.critic_gradient, some.byte(), some, some[:, :1, :1, :1])
        self._make = captured(self.generator_gradient, torch.zeros(size, settings.latent, device=device))

    def step(self, step: int) -> Tensor:
        """The steps of D, and then one of G; the sum of their last losses. `step` counts from 0."""
        settings, device = self._settings, self._images.device
        random = self._stream.child("step", step).torch(device)
        rounds, size = settings.critic_steps, settings.batch
        chosen = torch.randint(len(self._images), (rounds, size), generator=random, device=device)
        mix = torch.rand(rounds, size, 1, 1, 1, generator=random, device=device)
        z = torch.randn(rounds + 1, size, settings.latent, generator=random, device=device)
        with torch.no_grad():
            fake = self._network(z[:rounds].flatten(0, 1)).split(size)  # G stands still meanwhile
        for each in range(rounds):
            judged = self._judge(self._images.index_select(0, chosen[each]), fake[each], mix[each])
            self.critic.step(rounds * step + each)
        made = self._make(z[rounds])
        self.generator.step(step)
        return judged + made

    def critic_gradient(self, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        """The loss of D, whose gradient is left with its weights.

        Args:
            real: bytes, shape (n, *shape).
            fake: in [−1, 1], the same shape.
            mix: u, shape (n, 1, 1, 1).
        """
        self.critic.weights.gradient.zero_()
        loss = critic_loss(self._critic, from_bytes(real), fake, mix, penalty=self._settings.penalty)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def generator_gradient(self, z: Tensor) -> Tensor:
        """The loss of G, whose gradient is left with its weights. z has shape (n, latent)."""
        self.generator.weights.gradient.zero_()
        loss: Tensor = -self._critic(self._network(z)).mean()
        loss.backward(inputs=list(self._network.parameters()))  # type: ignore[no-untyped-call]
        return loss.detach()

    def state(self) -> State:
        """Copies of all that `restore` needs."""
        return {
            f"{name}.{part}": array
            for name, training in self._trainings().items()
            for part, array in training.state().items()
        }

    def restore(self, checkpoint: Checkpoint) -> int:
        """Go on from the newest checkpoint, if there is one; the number of steps of G that are done.

        Raises: Damaged, if it is one of other networks.
        """
        found = checkpoint.restore()
        if found is None:
            return 0
        done, state = found
        for name, training in self._trainings().items():
            own = f"{name}."
            training.read({part.removeprefix(own): a for part, a in state.items() if part.startswith(own)})
        return done

    def _trainings(self) -> dict[str, Training]:
        return {"generator": self.generator, "critic": self.critic}


def critic_loss(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor, *, penalty: float
) -> Tensor:
    """E D(fake) − E D(real) + c E (|∇D(x̂)| − 1)² with x̂ = real + u (fake − real).

    Args:
        critic: D, which takes images one by one: (n, *shape) → (n,).
        real, fake: shape (n, *shape).
        mix: u, shape (n, 1, 1, 1).
        penalty: c.

    Source: Gulrajani et al. 2017 (arXiv:1704.00028), eq. 3.

    >>> zeros, twos = torch.zeros(4, 1, 1, 1), 2 * torch.ones(4, 1, 1, 1)
    >>> critic_loss(lambda x: 3 * x.sum(dim=(1, 2, 3)), zeros, twos, zeros, penalty=10).item()
    46.0
    """
    between = torch.lerp(real, fake, mix).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    steepness = torch.linalg.vector_norm(slope.flatten(1), dim=1)
    on_real, on_fake = critic(torch.cat([real, fake])).tensor_split(2)
    loss: Tensor = on_fake.mean() - on_real.mean() + penalty * (steepness - 1).square().mean()
    return loss


def from_bytes(images: Tensor) -> Tensor:
    """Bytes as float32 in [−1, 1]."""
    return images.float().div_(127.5).sub_(1)


def to_bytes(images: Tensor) -> Tensor:
    """Numbers in [−1, 1] as bytes, rounded.

    >>> to_bytes(from_bytes(torch.tensor([0, 7, 255], dtype=torch.uint8))).tolist()
    [0, 7, 255]
    """
    return images.add(1).mul_(127.5).round_().clamp_(0, 255).byte()
