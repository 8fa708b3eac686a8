"""What a training loop does beside its loss: Adam, the learning rate, the averaged weights, checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from madray.errors import Damaged
from madray.generators.protocol import Checkpoint, State
from madray.generators.weights import Weights

BETA1, BETA2 = 0.9, 0.999

WATCH_EVERY = 50
"""Steps between two looks at the loss and two words of progress."""


def learning_rate(step: int, *, peak: float, warmup: int, steps: int) -> float:
    """Of step 0, 1, …: a line up to `peak` over `warmup` steps, then a cosine down to 0 after the last.

    >>> [learning_rate(step, peak=1.0, warmup=2, steps=6) for step in (0, 1, 2, 4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def average_decay(step: int, longest: float) -> float:
    """min(longest, (1 + i) / (10 + i)) at step i = 0, 1, …: an average that soon forgets the first weights.

    >>> average_decay(0, 0.99), average_decay(10_000, 0.99)
    (0.1, 0.99)
    """
    return min(longest, (1 + step) / (10 + step))


@dataclass(frozen=True)
class Pace:
    """How an optimizer moves: peak, warm-up and length of the learning rate, and the average's decay."""

    peak: float
    warmup: int
    steps: int
    ema: float


class Training:
    """Weights, their average, and Adam's moments: all that a fit carries from step to step.

    Adam with β = (0.9, 0.999) and ε = 10⁻⁸, on one vector: torch's own takes longer to find out what it
    was given than to step a small network.

    Source: Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1, in the order of the end of its section 2.
    """

    def __init__(self, weights: Weights, pace: Pace) -> None:
        self.pace = pace
        self.weights = weights
        self.average = weights.values.clone()
        self.first, self.second = torch.zeros_like(self.average), torch.zeros_like(self.average)
        self._scratch = torch.empty_like(self.average)

    def step(self, step: int) -> None:
        """Move the weights along their gradient, and the average after them; `step` counts from 0."""
        pace, gradient = self.pace, self.weights.gradient
        rate = learning_rate(step, peak=pace.peak, warmup=pace.warmup, steps=pace.steps)
        young = (1 - BETA2 ** (step + 1)) ** 0.5  # both moments start at 0, and are too small at first
        self.first.lerp_(gradient, 1 - BETA1)
        self.second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        size = torch.sqrt(self.second, out=self._scratch).add_(1e-8 * young)
        self.weights.values.addcdiv_(self.first, size, value=-rate * young / (1 - BETA1 ** (step + 1)))
        self.average.lerp_(self.weights.values, 1 - average_decay(step, pace.ema))

    def state(self) -> State:
        """Copies of all that `restore` needs."""
        return {name: np.array(vector.cpu().numpy()) for name, vector in self._vectors().items()}

    def restore(self, checkpoint: Checkpoint) -> int:
        """Go on from the newest checkpoint, if there is one; the number of steps that are done.

        Raises: Damaged, if it is one of other weights.
        """
        found = checkpoint.restore()
        if found is None:
            return 0
        done, state = found
        for name, vector in self._vectors().items():
            if name not in state or state[name].shape != tuple(vector.shape):
                raise Damaged(
                    f"expected a checkpoint with {name} of shape {tuple(vector.shape)}, got "
                    f"{state[name].shape if name in state else 'none'}; try removing it"
                )
            vector.copy_(torch.from_numpy(np.array(state[name])))
        return done

    def _vectors(self) -> dict[str, torch.Tensor]:
        return {
            "weights": self.weights.values,
            "average": self.average,
            "first_moment": self.first,
            "second_moment": self.second,
        }


def refuse_bad(losses: torch.Tensor, done: int) -> None:
    """Look at the losses of the last `WATCH_EVERY` of `done` steps, each at its step modulo that number.

    Raises: RuntimeError, naming the first step whose loss is not finite.
    """
    if torch.isfinite(losses).all():
        return
    for step in range(max(done - len(losses), 0), done):
        loss = float(losses[step % len(losses)])
        if not math.isfinite(loss):
            raise RuntimeError(
                f"expected a finite loss, got {loss} at step {step}; try a smaller learning_rate"
            )
