"""Generators for tests of the engine: slow enough to be killed, or bound to fail."""

from __future__ import annotations

import time

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
