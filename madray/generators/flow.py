"""A normalizing flow: an invertible network that turns samples into Gaussian noise, with exact likelihood."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from madray.errors import BadInput
from madray.generators.couplings import Couplings
from madray.generators.folders import read_model, write_model
from madray.generators.protocol import NO_CHECKPOINT, Checkpoint, Progress, check_bias, no_progress
from madray.generators.standard import Standard
from madray.generators.training import Pace, Training, Watch
from madray.generators.vectors import Frame
from madray.generators.weights import Weights
from madray.samples import SampleSet
from madray.spec.generators import Flow
from madray.streams import Stream

_ROWS = 1 << 14
"""How many samples have their likelihood taken at once: a large grid of points would fill the memory."""


class FlowGenerator:
    """z = f((x − mean) / unit) with f invertible, trained so that z is N(0, I) for the training set.

        log p(x) = log N(z; 0, λI) + log |det ∂f| − Σ_j log unit_j

    λ samples z from N(0, λI) and gives x = f⁻¹(z); λ = 0 repeats the one point f⁻¹(0).

    Coordinates are standardised one by one, which is the actnorm's first step. A coordinate that never
    varies in the training set comes back as it is and has no part in the likelihood; if a single one varies,
    it gets a Gaussian, and if none does, the sample is repeated. Samples carry no labels, whatever the
    training set carried.

    Adam with a cosine decay, a fixed number of epochs, each in an order of its own, in batches of about equal
    size; nothing stops early. The order of epoch i comes from `stream/epoch/i`, so a fit that was stopped
    goes on as if it had not been. A share of the training set is held out from all but the standardisation,
    and its likelihood is kept with the weights. Trained in float32; samples and likelihoods are float64, in
    which f⁻¹ undoes f to 10⁻¹⁰ where float32 leaves 10⁻⁵. Computes on the CPU.

    The layers are our own (`madray.generators.couplings`), because a training step of the same flow in zuko
    1.6 takes twice as long; `analysis/bench/flow_step.py` measures both.

    Source: Alemohammad et al. 2023 (arXiv:2307.01850), appendix B.4: 8 coupling layers of width 64, 20
    epochs, batches of 256; λ from its section on sampling bias. Learning rate and held-out share are ours.

    >>> from madray.generators.protocol import sample
    >>> model = FlowGenerator(Flow(layers=2, width=8, epochs=3, batch=16))
    >>> points = SampleSet(np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32))
    >>> model.fit(points, stream=Stream.of(0))
    >>> sample(model, 4, chunk=3, bias=0.5, stream=Stream.of(1)).values.shape
    (4, 2)
    >>> model.log_likelihood(points).shape
    (40,)
    """

    held_out_log_likelihood: float | None
    """Mean log p at λ = 1 of the samples that were held out, in nats; None where none was."""

    def __init__(self, settings: Flow) -> None:
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

        Raises: BadInput, if samples are images, or single numbers; RuntimeError, naming the step, if the
            loss is not finite; Damaged, if the checkpoint is one of another network.
        """
        refuse_what_cannot_be_coupled(samples)
        settings, order = self.settings, stream.child("held_out").numpy().permutation(len(samples))
        held_out, kept = np.split(order, [int(settings.held_out * len(samples))])
        frame, standard = Frame.around(samples), Standard.of(samples.flat())
        flow = Couplings(standard.varying, layers=settings.layers, width=settings.width)
        weights = Weights(flow, torch.device("cpu"))
        flow.initialise(stream.child("weights").torch())
        z = torch.from_numpy(standard.inwards(samples.flat()[kept]).astype(np.float32))
        epochs = Epochs(z, settings.batch, stream)
        steps = settings.epochs * epochs.length if standard.varying else 0
        training = Training(weights, Pace(settings.learning_rate, warmup=0, steps=steps, ema=0.0))
        watch = Watch(training, steps=steps, checkpoint=checkpoint, progress=progress)
        for step in range(training.restore(checkpoint), steps):
            loss = -log_density(flow, epochs.batch(step)).mean()
            weights.gradient.zero_()
            loss.backward()  # type: ignore[no-untyped-call]
            training.step(step)
            watch.step(step, loss)
        self._become(frame, standard, flow, weights)
        found = self.log_likelihood(samples.take(held_out)) if len(held_out) else None
        self.held_out_log_likelihood = None if found is None else float(found.mean())

    @torch.inference_mode()
    def sample(
        self, n: int, *, bias: float, stream: Stream, labels: NDArray[np.int64] | None = None
    ) -> SampleSet:
        """n samples x = f⁻¹(√λ ε), ε ~ N(0, I).

        Returns: values of shape (n, *shape), float32, without labels.

        Raises: BadInput, if λ is outside [0, 1].
        """
        check_bias(bias)
        epsilon = torch.randn((n, self._standard.varying), generator=stream.torch(), dtype=torch.float64)
        z = self._flow.inverse(bias**0.5 * epsilon)
        return self._frame.samples(self._standard.outwards(z.numpy()))

    @torch.inference_mode()
    def log_likelihood(self, samples: SampleSet, *, bias: float = 1.0) -> NDArray[np.float64]:
        """log p of each sample at λ, in nats: the density of the coordinates that varied in the training set.

        Args:
            bias: λ in (0, 1].

        Returns: shape (n,).

        Raises: BadInput, if λ is outside (0, 1].
        """
        check_bias(bias, zero=False)
        z = torch.from_numpy(self._standard.inwards(samples.flat()))
        found = torch.cat([log_density(self._flow, part, bias) for part in torch.split(z, _ROWS)])
        log_p: NDArray[np.float64] = found.numpy() - self._standard.log_volume
        return log_p

    @property
    def classes(self) -> int | None:
        """None: the model knows no labels."""
        return None

    def save(self, folder: Path) -> None:
        """Write the weights, what standardises the data, and the likelihood that was held out."""
        arrays = {f"weights.{name}": array for name, array in self._weights.items()}
        told = {**self._frame.told(), "held_out_log_likelihood": self.held_out_log_likelihood}
        write_model(folder, {**arrays, **self._standard.arrays()}, told)

    def load(self, folder: Path) -> None:
        """Become what was saved there.

        Raises: Damaged, if it is not whole, or of other settings.
        """
        arrays, told = read_model(
            folder, arrays=["mean", "unit"], told=["shape", "image", "held_out_log_likelihood"]
        )
        standard = Standard.read(arrays)
        flow = Couplings(standard.varying, layers=self.settings.layers, width=self.settings.width)
        weights = Weights(flow, torch.device("cpu"))
        weights.read(
            {name.removeprefix("weights."): a for name, a in arrays.items() if name.startswith("weights.")}
        )
        self._become(Frame.read(told), standard, flow, weights)
        self.held_out_log_likelihood = told["held_out_log_likelihood"]

    def _become(self, frame: Frame, standard: Standard, flow: Couplings, weights: Weights) -> None:
        """A model of such data, with these weights."""
        self._frame, self._standard, self._weights = frame, standard, weights.arrays()
        self._flow = flow.double()


def log_density(flow: Couplings, x: Tensor, bias: float = 1.0) -> Tensor:
    """log N(f(x); 0, λI) + log |det ∂f|, shape (n,), of x, shape (n, d)."""
    z, log_det = flow(x)
    constant = x.shape[1] / 2 * math.log(2 * math.pi * bias)
    return torch.add(log_det, z.square().sum(dim=1), alpha=-0.5 / bias) - constant


def refuse_what_cannot_be_coupled(samples: SampleSet) -> None:
    """Raises: BadInput, if samples are images, or single numbers."""
    if samples.is_image:
        raise BadInput(f"expected vectors for flow, got images of shape {samples.shape}; try ddpm")
    if math.prod(samples.shape) < 2:
        raise BadInput(
            f"expected vectors of 2 numbers or more for flow, got {math.prod(samples.shape)}: nothing can be "
            "coupled; try gaussian or gmm"
        )


class Epochs:
    """A training set in batches of about equal size, each epoch in an order of its own.

    >>> epochs = Epochs(torch.arange(5.0)[:, None], 2, Stream.of(0))
    >>> epochs.length, sorted(torch.cat([epochs.batch(step) for step in (3, 4, 5)])[:, 0].tolist())
    (3, [0.0, 1.0, 2.0, 3.0, 4.0])
    """

    def __init__(self, z: Tensor, batch: int, stream: Stream) -> None:
        self.length = -(-len(z) // batch)
        self._z, self._stream, self._epoch = z, stream, -1
        self._parts: tuple[Tensor, ...] = ()

    def batch(self, step: int) -> Tensor:
        """The batch of step 0, 1, …; as many as `length` make an epoch."""
        epoch, place = divmod(step, self.length)
        if epoch != self._epoch:
            order = self._stream.child("epoch", epoch).numpy().permutation(len(self._z))
            self._epoch, self._parts = epoch, torch.from_numpy(order).tensor_split(self.length)
        return self._z.index_select(0, self._parts[place])
