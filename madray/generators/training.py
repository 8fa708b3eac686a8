"""What a training loop does beside its loss: Adam, the learning rate, the averaged weights, checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from madray.errors import Damaged
from madray.generators.protocol import Checkpoint, Progress, State
from madray.generators.weights import Weights

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
    """How Adam moves: peak, warm-up and length of the learning rate, the average's decay, and its β."""

    peak: float
    warmup: int
    steps: int
    ema: float
    betas: tuple[float, float] = (0.9, 0.999)


class Training:
    """Weights, their average, and Adam's moments: all that a fit carries from step to step.

    Adam with ε = 10⁻⁸, on one vector: torch's own takes longer to find out what it was given than to step a
    small network.

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
        beta1, beta2 = pace.betas
        young = (1 - beta2 ** (step + 1)) ** 0.5  # both moments start at 0, and are too small at first
        self.first.lerp_(gradient, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        size = torch.sqrt(self.second, out=self._scratch).add_(1e-8 * young)
        self.weights.values.addcdiv_(self.first, size, value=-rate * young / (1 - beta1 ** (step + 1)))
        self.average.lerp_(self.weights.values, 1 - average_decay(step, pace.ema))

    def state(self) -> State:
        """Copies of all that `read` needs."""
        return {name: np.array(vector.cpu().numpy()) for name, vector in self._vectors().items()}

    def restore(self, checkpoint: Checkpoint) -> int:
        """Go on from the newest checkpoint, if there is one; the number of steps that are done.

        Raises: Damaged, if it is one of other weights.
        """
        found = checkpoint.restore()
        if found is None:
            return 0
        self.read(found[1])
        return found[0]

    def read(self, state: State) -> None:
        """Go on from a state.

        Raises: Damaged, if it is one of other weights.
        """
        for name, vector in self._vectors().items():
            if name not in state or state[name].shape != tuple(vector.shape):
                raise Damaged(
                    f"expected a checkpoint with {name} of shape {tuple(vector.shape)}, got "
                    f"{state[name].shape if name in state else 'none'}; try removing it"
                )
            vector.copy_(torch.from_numpy(np.array(state[name])))

    def _vectors(self) -> dict[str, torch.Tensor]:
        return {
            "weights": self.weights.values,
            "average": self.average,
            "first_moment": self.first,
            "second_moment": self.second,
        }


class Stateful(Protocol):
    """What a checkpoint is made of: one training, or several."""

    def state(self) -> State:
        """Copies of all that a fit needs to go on."""


class Watch:
    """What follows every step of a fit: a look at its loss, a word of progress, the offer of a checkpoint.

    Losses are looked at every `WATCH_EVERY` steps, since each look waits for the device. A loss tells of the
    weights before its step; so those after it, their average and the moments are looked at as well, before a
    checkpoint is kept and when the fit is done: no checkpoint and no finished fit holds what is not finite.
    """

    def __init__(self, training: Stateful, *, steps: int, checkpoint: Checkpoint, progress: Progress) -> None:
        self._training, self._checkpoint, self._progress = training, checkpoint, progress
        self._steps = steps
        self._losses: dict[int, torch.Tensor] = {}

    def step(self, step: int, loss: torch.Tensor) -> None:
        """After step 0, 1, …, with its loss.

        Raises: RuntimeError, naming the last good checkpoint, and the first step whose loss is not finite, or
            how many steps made weights that are not.
        """
        self._losses[step] = loss.detach()
        done = step + 1
        if done == self._steps:
            self._good_state(done)
        if done % WATCH_EVERY == 0 or done == self._steps:
            self._look()
            self._progress(done, self._steps)
        self._checkpoint.offer(done, lambda: self._good_state(done))

    def _good_state(self, done: int) -> State:
        self._look()
        state = self._training.state()
        for name, array in state.items():
            finite = np.isfinite(array)
            if not finite.all():
                raise self._spoilt("finite weights and moments", f"{array[~finite][0]} in {name}", done)
        return state

    def _look(self) -> None:
        losses, self._losses = self._losses, {}
        if not losses or torch.isfinite(torch.stack(list(losses.values()))).all():
            return
        step, loss = next((step, value) for step, value in losses.items() if not math.isfinite(value))
        raise self._spoilt("a finite loss", f"{float(loss)}", step)

    def _spoilt(self, expected: str, found: str, step: int) -> RuntimeError:
        """What is said where the weights of `step` = 0, 1, … steps, or their loss, are not finite."""
        kept = self._checkpoint.restore()
        last = f"the last good checkpoint is that of step {kept[0]}" if kept else "there is no checkpoint yet"
        return RuntimeError(
            f"expected {expected}, got {found} at step {step} ({last}); try a smaller learning_rate"
        )
