"""Training loops that end: what is not finite is never kept, nor called done, in any family that trains by steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from madray.generators.protocol import NO_CHECKPOINT, Generator, State, build_generator, no_progress
from madray.generators.training import Training, Watch
from madray.samples import SampleSet
from madray.spec.generators import DDPM, WGANGP, AnyGenerator, Flow
from madray.streams import Stream


class Held:
    """Stands for a training: its numbers are what the test sets."""

    def __init__(self) -> None:
        self.numbers = np.zeros(3, np.float32)

    def state(self) -> State:
        return {"second_moment": self.numbers.copy()}


class Kept:
    """A checkpoint that takes the offers of some steps."""

    def __init__(self, *steps: int) -> None:
        self._steps = steps
        self.last: tuple[int, State] | None = None

    def restore(self) -> tuple[int, State] | None:
        return self.last

    def offer(self, step: int, state: Callable[[], State]) -> None:
        if step in self._steps:
            self.last = step, state()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_moments_that_are_not_finite_leave_the_last_checkpoint_as_it_is(bad: float) -> None:
    held, checkpoint = Held(), Kept(2, 5)
    watch = Watch(held, steps=9, checkpoint=checkpoint, progress=no_progress)
    for step in range(4):
        watch.step(step, torch.tensor(1.0))
    held.numbers[1] = bad
    told = rf"got {bad} in second_moment at step 5 \(the last good checkpoint is that of step 2\)"
    with pytest.raises(RuntimeError, match=told):
        watch.step(4, torch.tensor(1.0))
    assert checkpoint.last is not None
    assert (checkpoint.last[0], checkpoint.last[1]["second_moment"].tolist()) == (2, [0, 0, 0])


def test_states_are_copied_at_checkpoints_and_at_the_end_alone() -> None:
    held, copied = Held(), []
    state = held.state
    held.state = lambda: copied.append(1) or state()  # type: ignore[method-assign,func-returns-value]
    watch = Watch(held, steps=200, checkpoint=Kept(70), progress=no_progress)
    for step in range(200):
        watch.step(step, torch.tensor(1.0))
    assert len(copied) == 2


IMAGES = SampleSet(Stream.of("images").numpy().integers(256, size=(6, 1, 8, 8), dtype=np.uint8))
POINTS = SampleSet(Stream.of("points").numpy().normal(size=(8, 2)).astype(np.float32))


@pytest.mark.parametrize(
    ("settings", "samples"),
    [
        (DDPM(timesteps=5, steps=4, warmup=1, width=8, depth=1, batch=4), IMAGES),
        (Flow(layers=2, width=4, epochs=4, batch=8, held_out=0.0), POINTS),
        (WGANGP(width=4, latent=4, steps=4, batch=4), IMAGES),
    ],
    ids=["ddpm", "flow", "wgan_gp"],
)
def test_weights_that_the_last_step_spoils_are_no_model(
    monkeypatch: pytest.MonkeyPatch, settings: AnyGenerator, samples: SampleSet
) -> None:
    """All losses are finite, for each is taken before the weights move."""
    step = Training.step
    fits(build_generator(settings), samples)

    def spoilt(training: Training, at: int) -> None:
        step(training, at)
        if (at, training.pace.steps) == (3, 4):  # not the critic's, which its own loss of the same step tells
            training.weights.values[0] = torch.nan

    monkeypatch.setattr(Training, "step", spoilt)
    with pytest.raises(RuntimeError, match=r"expected finite weights and moments, got nan in .* at step 4 "):
        fits(build_generator(settings), samples)


def fits(generator: Generator, samples: SampleSet) -> None:
    generator.fit(samples, stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
