"""What a training loop does beside its loss: Adam, the learning rate, the averaged weights, checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from madray.errors import Damaged
from madray.generators.protocol import Checkpoint, State
from madray.generators.weights import Weights


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

    Adam of Kingma and Ba 2015 (arXiv:1412.6980) with β = (0.9, 0.999) and ε = 10⁻⁸.
    """

    def __init__(self, weights: Weights, pace: Pace) -> None:
        self.pace = pace
        self.weights = weights
        self.average = weights.values.clone()
        self.first, self.second = torch.zeros_like(self.average), torch.zeros_like(self.average)
        parameter = torch.nn.Parameter(weights.values)
        parameter.grad = weights.gradient
        self._count = torch.zeros((), device=self.average.device)
        self._adam = torch.optim.Adam([parameter], lr=pace.peak, fused=True)
        self._adam.state[parameter] = {
            "step": self._count,
            "exp_avg": self.first,
            "exp_avg_sq": self.second,
        }

    def step(self, step: int) -> None:
        """Move the weights along their gradient, and the average after them."""
        pace = self.pace
        rate = learning_rate(step, peak=pace.peak, warmup=pace.warmup, steps=pace.steps)
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
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
        self._count.fill_(done)
        return done

    def _vectors(self) -> dict[str, torch.Tensor]:
        return {
            "weights": self.weights.values,
            "average": self.average,
            "first_moment": self.first,
            "second_moment": self.second,
        }
