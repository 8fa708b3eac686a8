"""Generators that do nothing, or sleep, so that all other time is the engine's."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from madray.generators.protocol import Checkpoint, Progress
from madray.samples import SampleSet
from madray.streams import Stream

LOG = "MADRAY_BENCH_LOG"
"""The environment variable that names the folder in which each process says when it slept."""

SLOWNESS = "MADRAY_BENCH_SLOWNESS"
"""The environment variable by which a node multiplies its sleep, 1 without."""


class DoNothing:
    """Learns nothing, and samples zeros of one number each; taken for a model of milliseconds."""

    version = 1
    chunk = 100
    takes_zero_bias = True
    milliseconds = True
    classes = None

    def fit(self, samples: SampleSet, *, stream: Stream, checkpoint: Checkpoint, progress: Progress) -> None:
        """Return at once."""

    def sample(self, n: int, *, bias: float, stream: Stream, labels: NDArray[np.int64] | None) -> SampleSet:
        """n zeros."""
        return SampleSet(np.zeros((n, 1), np.float32))

    def save(self, folder: Path) -> None:
        """Write a file without weights."""
        (folder / "nothing.json").write_text("{}")

    def load(self, folder: Path) -> None:
        """Become what it was."""


class Sleeping(DoNothing):
    """Sleeps while it is fitted, by the clock and on no core, and is taken for a model of any length."""

    milliseconds = False

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def fit(self, samples: SampleSet, *, stream: Stream, checkpoint: Checkpoint, progress: Progress) -> None:
        """Sleep, and note from when to when."""
        began = time.time()
        time.sleep(self._seconds * float(os.environ.get(SLOWNESS, "1")))
        with Path(os.environ[LOG], str(os.getpid())).open("a") as file:
            file.write(f"{began} {time.time()}\n")
