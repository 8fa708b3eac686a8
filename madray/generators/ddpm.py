"""Denoising diffusion with classifier-free guidance: the paper's model for MNIST."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from madray.errors import BadInput
from madray.generators.captured import captured
from madray.generators.denoisers import Denoiser
from madray.generators.devices import best_device, fits_memory
from madray.generators.diffusion import Epsilon, Schedule, ancestral, ddim, guided, walk
from madray.generators.folders import read_model, write_model
from madray.generators.fused import fused
from madray.generators.protocol import NO_CHECKPOINT, Checkpoint, Progress, check_bias, no_progress
from madray.generators.scaling import Scale
from madray.generators.training import Pace, Training, Watch
from madray.generators.weights import Weights
from madray.samples import SampleSet
from madray.spec.generators import DDPM
from madray.streams import Stream


class DDPMGenerator:
    """A conditional DDPM: a network learns the noise ε in x_t, and samples are made by T ancestral steps.

        loss = w_t |ε(√ᾱ_t x_0 + √(1 − ᾱ_t) ε, t, y) − ε|²,   t uniform on 1 … T, y dropped now and then

    λ guides: ε = (1 + w) ε(x, y) − w ε(x) with w = 1/λ − 1. At λ = 1 nothing is done without a label; below,
    both terms are made in one batch. Without labels in the training set there is nothing to guide by.

    Bytes are scaled to [−1, 1] and come back rounded; vectors are divided by the standard deviation of each
    coordinate. Both are centred by the mean of the training set. Equal samples give that one sample back. A
    class without samples keeps its first weights: what is drawn of it is some mixture of the others.

    Adam with a warm-up and a cosine decay; the weights that sample are an exponential average over the steps,
    whose decay grows as min(ema, (1 + i) / (10 + i)) at step i, so that the first weights are soon forgotten.
    A batch is drawn with replacement. Batch, times, noise and dropped labels of step i come from
    `stream/step/i` alone, so a fit that was stopped goes on as if it had not been. Computes on a CUDA device
    where there is one.

    Source: Ho, Jain and Abbeel 2020 (arXiv:2006.11239), algorithms 1 and 2; Ho and Salimans 2021
    (arXiv:2207.12598), algorithm 1 and eq. 6; λ from Alemohammad et al. 2023 (arXiv:2307.01850). The paper
    says T = 500 and 10 % label dropout; schedule, variance, averaging, clipping and the weights w_t (see
    `denoisers`) are ours.

    >>> from madray.generators.protocol import sample
    >>> model = DDPMGenerator(DDPM(timesteps=5, steps=20, warmup=2, width=8, depth=1, batch=8, chunk=3))
    >>> points = SampleSet(np.float32([[0, 1], [2, 3]]), labels=np.int64([0, 1]), classes=2)
    >>> model.fit(points, stream=Stream.of(0))
    >>> made = sample(model, 4, chunk=3, bias=0.5, stream=Stream.of(1))
    >>> made.values.shape, made.values.dtype.name, made.classes
    ((4, 2), 'float32', 2)
    """

    def __init__(self, settings: DDPM) -> None:
        self.settings = settings
        self.schedule = Schedule.named(settings.schedule, settings.timesteps)

    def fit(
        self,
        samples: SampleSet,
        *,
        stream: Stream,
        checkpoint: Checkpoint = NO_CHECKPOINT,
        progress: Progress = no_progress,
    ) -> None:
        """Train from scratch, or go on from the newest checkpoint.

        Raises: RuntimeError, naming the step, if the loss is not finite; Damaged, if the checkpoint is one
        of another network.
        """
        settings, device = self.settings, best_device()
        scale = Scale.of(samples)
        weights = self._become(scale, scale.spread(samples), samples.classes, device)
        weights.initialise(stream.child("weights").torch())
        training = Training(
            weights, Pace(settings.learning_rate, settings.warmup, settings.steps, settings.ema)
        )
        watch = Watch(training, steps=settings.steps, checkpoint=checkpoint, progress=progress)
        batches = Batches(samples, scale, self.schedule, settings, device)
        with fits_memory("batch", settings.batch):
            gradient = captured(self._gradient, *batches.of(stream.child("example").torch(device)))
            for step in range(training.restore(checkpoint), settings.steps):
                loss = gradient(*batches.of(stream.child("step", step).torch(device)))
                training.step(step)
                watch.step(step, loss)
        weights.values.copy_(training.average)

    @torch.inference_mode()
    def sample(
        self, n: int, *, bias: float, stream: Stream, labels: NDArray[np.int64] | None = None
    ) -> SampleSet:
        """n samples, one of each label given.

        Args:
            bias: λ in (0, 1]; 1 where the training set had no labels.
            labels: shape (n,), in [0, classes); None where the training set had none.

        Returns: values of shape (n, *shape), float32 (uint8 of images), with the labels.

        Raises: BadInput, if λ or the labels are not as said.
        """
        check_bias(bias, zero=False)
        if (labels is None) != (self.classes is None) or (labels is not None and labels.shape != (n,)):
            raise BadInput(
                f"expected {'no' if self.classes is None else n} labels, "
                f"got {'none' if labels is None else len(labels)}"
            )
        if labels is None and bias < 1:
            raise BadInput(f"expected λ = 1 without labels to guide by, got {bias}; try labelled samples")
        with fits_memory("chunk", n):
            z = self._walked(n, bias, stream, labels)
        return SampleSet(self._scale.outwards(z.cpu().numpy()), labels, self.classes)

    def _walked(self, n: int, bias: float, stream: Stream, labels: NDArray[np.int64] | None) -> torch.Tensor:
        """x_0 of n samples; a CPU makes them part by part, of sizes that its caches hold."""
        settings, device = self.settings, self._weights.values.device
        unlabelled = torch.full((n,), self.classes or 0)
        y = unlabelled if labels is None else torch.from_numpy(np.array(labels))
        bounds = None
        if settings.clip and (limits := self._scale.bounds()):
            bounds = torch.from_numpy(limits[0]).to(device), torch.from_numpy(limits[1]).to(device)
        steps = ancestral(self.schedule, settings.posterior_variance)
        if settings.ddim_steps:
            steps = ddim(self.schedule, settings.ddim_steps)
        random = stream.torch(device)
        return torch.cat(
            [
                walk(
                    self._epsilon(part.to(device), bias),
                    (len(part), *self._scale.mean.shape),
                    schedule=self.schedule,
                    steps=steps,
                    bounds=bounds,
                    generator=random,
                )
                for part in torch.split(y, n if device.type == "cuda" else self._denoiser.network.at_once)
            ]
        )

    def _epsilon(self, y: torch.Tensor, bias: float) -> Epsilon:
        """The noise in samples of the classes y: as they are at λ = 1, below it guided away from no class."""
        denoiser, device = self._denoiser, y.device
        times = torch.arange(self.schedule.timesteps + 1, device=device)
        x = torch.zeros((len(y), *self._scale.mean.shape), device=device)
        if bias == 1:
            told = denoiser.tell(y)
            labelled = captured(fused(denoiser.labelled, device), x, times[:1], told)
            return lambda x, t: labelled(x, times[t : t + 1], told)
        told = denoiser.tell(torch.cat([y, torch.full_like(y, denoiser.unlabelled)]))
        both = captured(fused(denoiser.both, device), x, times[:1], told)

        def with_and_without(x: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
            made = both(x, times[t : t + 1], told)
            return made[: len(y)], made[len(y) :]

        return guided(with_and_without, bias)

    @property
    def classes(self) -> int | None:
        """How many classes the training set had; None where it had no labels."""
        return self._classes

    def save(self, folder: Path) -> None:
        """Write the averaged weights, the moments that scale the data, and what the data are."""
        arrays = {f"weights.{name}": array for name, array in self._weights.arrays().items()}
        arrays |= {"mean": self._scale.mean, "spread": self._spread}
        write_model(folder, arrays, {**self._scale.told(), "classes": self._classes})

    def load(self, folder: Path) -> None:
        """Become what was saved there.

        Raises: Damaged, if it is not whole, or of other settings.
        """
        arrays, told = read_model(folder, arrays=["mean", "spread"], told=["unit", "image", "classes"])
        scale = Scale.read(arrays, told)
        weights = self._become(scale, arrays["spread"], told["classes"], best_device())
        weights.read(
            {name.removeprefix("weights."): a for name, a in arrays.items() if name.startswith("weights.")}
        )

    def _become(
        self, scale: Scale, spread: NDArray[np.float32], classes: int | None, device: torch.device
    ) -> Weights:
        """A model of such data, with weights still to be filled."""
        self._scale, self._spread, self._classes = scale, spread, classes
        self._denoiser = Denoiser(
            spread.shape,
            classes=classes or 0,
            schedule=self.schedule,
            spread=spread,
            width=self.settings.width,
            depth=self.settings.depth,
            patch=self.settings.patch,
            device=device,
        )
        self._weights = Weights(self._denoiser, device)
        self._loss = fused(self._squared_error, device)
        return self._weights

    def _gradient(
        self, noised: torch.Tensor, t: torch.Tensor, told: torch.Tensor, epsilon: torch.Tensor
    ) -> torch.Tensor:
        """The loss of a batch, whose gradient is left with the weights."""
        loss = self._loss(noised, t, told, epsilon)
        self._weights.differentiate(loss)
        return loss.detach()

    def _squared_error(
        self, noised: torch.Tensor, t: torch.Tensor, told: torch.Tensor, epsilon: torch.Tensor
    ) -> torch.Tensor:
        made: torch.Tensor = self._denoiser(noised, t, told)
        squared = (made - epsilon).square().flatten(1).mean(dim=1)
        return (squared * self._denoiser.weight.index_select(0, t)).mean()


class Batches:
    """What the network is asked in a training step, and the answer: noised samples and their noise.

    The training set lies on the device as it is, images as bytes; only a batch of it is ever scaled.
    """

    def __init__(
        self,
        samples: SampleSet,
        scale: Scale,
        schedule: Schedule,
        settings: DDPM,
        device: torch.device,
    ) -> None:
        signal = torch.from_numpy(schedule.signal).to(device).view(-1, *(1 for _ in samples.shape))
        self._keep, self._add = signal.sqrt().float(), (1 - signal).sqrt().float()
        self._values = torch.from_numpy(np.array(samples.values)).to(device)
        self._mean = torch.from_numpy(scale.mean).to(device)
        unit = scale.divisor
        self._unit = unit if isinstance(unit, float) else torch.from_numpy(unit).to(device)
        self._unlabelled = samples.classes or 0
        labels = torch.full((len(samples),), self._unlabelled)
        if samples.labels is not None:
            labels = torch.from_numpy(np.array(samples.labels))
        self._labels = labels.to(device)
        self._size, self._dropout, self._timesteps = (
            settings.batch,
            settings.label_dropout,
            settings.timesteps,
        )

    def of(self, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """x_t, t, labels (some of them dropped) and ε, all from this generator."""
        device, size = self._values.device, self._size
        chosen = torch.randint(len(self._values), (size,), generator=random, device=device)
        t = torch.randint(1, self._timesteps + 1, (size,), generator=random, device=device)
        epsilon = torch.randn((size, *self._mean.shape), generator=random, device=device)
        dropped = torch.rand(size, generator=random, device=device) < self._dropout
        told = self._labels.index_select(0, chosen).masked_fill_(dropped, self._unlabelled)
        z = (self._values.index_select(0, chosen) - self._mean) / self._unit
        kept = self._keep.index_select(0, t) * z
        return kept.addcmul_(self._add.index_select(0, t), epsilon), t, told, epsilon
