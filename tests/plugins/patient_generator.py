"""Generators for tests of the engine: slow enough to be killed, or bound to fail."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from madray.generators.gaussian import GaussianGenerator
from madray.spec.generators import Gaussian


class Patient:
    """A Gaussian that takes its time, leaves checkpoints, and whose result depends on every one of its steps."""

    version = 1
    chunk = 100
    takes_zero_bias = True
    classes = None

    def __init__(self, steps=12, pause=0.05):
        self._steps = steps
        self._pause = pause
        self._inner = GaussianGenerator(Gaussian())

    def fit(self, samples, *, stream, checkpoint, progress):
        found = checkpoint.restore()
        done, walked = (0, np.zeros(1)) if found is None else (found[0], np.array(found[1]["walked"]))
        for step in range(done, self._steps):
            walked = 0.9 * walked + stream.child("step", step).numpy().normal(size=1)
            time.sleep(self._pause)
            state = {"walked": walked}
            checkpoint.offer(step + 1, lambda state=state: state)
            progress(step + 1, self._steps)
        self._inner.fit(samples, stream=stream, checkpoint=checkpoint, progress=progress)
        self._inner.mean = self._inner.mean + 0.01 * walked

    def sample(self, n, *, bias, stream, labels):
        time.sleep(self._pause)
        return self._inner.sample(n, bias=bias, stream=stream, labels=None)

    def save(self, folder):
        self._inner.save(folder)

    def load(self, folder):
        self._inner.load(folder)


class Failing(Patient):
    """Raises when it is fitted to fewer samples than it needs."""

    def __init__(self, needs=0):
        super().__init__(steps=1, pause=0.0)
        self._needs = needs

    def fit(self, samples, *, stream, checkpoint, progress):
        if len(samples) < self._needs:
            raise RuntimeError(f"expected {self._needs} samples, got {len(samples)}: this is meant to fail")
        super().fit(samples, stream=stream, checkpoint=checkpoint, progress=progress)


class Deadly(Patient):
    """Kills its process when it is fitted to fewer samples than it needs, and marks that in a folder."""

    def __init__(self, marks, needs):
        super().__init__(steps=1, pause=0.0)
        self._marks, self._needs = Path(marks), needs

    def fit(self, samples, *, stream, checkpoint, progress):
        if len(samples) < self._needs:
            (self._marks / f"died{os.getpid()}").touch()
            os._exit(1)
        super().fit(samples, stream=stream, checkpoint=checkpoint, progress=progress)


class DiesWhenReused(Patient):
    """Lets the trainer that fits it die at the moment in which Tune gives it other work, the first time."""

    def __init__(self, marks):
        super().__init__(steps=1, pause=0.0)
        self._marks = Path(marks)

    def fit(self, samples, *, stream, checkpoint, progress):
        from madray.engine import trainer

        if not (self._marks / "died").exists():
            (self._marks / "died").touch()
            trainer.ray = SimpleNamespace(get=lambda *_: os._exit(1))  # asked for what the next work is
        super().fit(samples, stream=stream, checkpoint=checkpoint, progress=progress)
