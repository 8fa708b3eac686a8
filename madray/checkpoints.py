"""Checkpoints of long fits in the store's `work/`: named arrays and a step, the newest whole one counts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import safetensors.numpy

from madray.errors import Missing, Stopped
from madray.generators.protocol import Checkpoint, NoCheckpoint, State
from madray.store import Store


def no_checkpoints(key: str) -> Checkpoint:
    """For fits that are over before a checkpoint would be due."""
    return NoCheckpoint()


class StoredCheckpoint:
    """Leaves the state of one fit in the store every few seconds; whoever comes next goes on from there.

    Args:
        seconds: how often.
        leave: set from another thread when this worker has to go: the next state is left at once, and the fit
            ends with `Stopped`. Nobody sets it where None.
        soon: set likewise when this machine may go: the next state is left at once, and the fit goes on.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        seconds: float,
        leave: threading.Event | None = None,
        soon: threading.Event | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._seconds = seconds
        self._leave, self._soon = leave or threading.Event(), soon or threading.Event()
        self._last = time.monotonic()

    def restore(self) -> tuple[int, State] | None:
        try:
            files = self._store.read("work", self._key)
        except Missing:
            return None
        step = json.loads(files["step.json"])["step"]
        return int(step), safetensors.numpy.load(files["state.safetensors"])

    def offer(self, step: int, state: Callable[[], State]) -> None:
        leaving = self._leave.is_set()
        due = self._soon.is_set() or time.monotonic() - self._last >= self._seconds
        if not (leaving or due):
            return
        self._soon.clear()
        files = {
            "state.safetensors": safetensors.numpy.save(dict(state())),
            "step.json": json.dumps({"step": step}).encode(),
        }
        self._store.replace("work", self._key, files)
        self._last = time.monotonic()
        if leaving:
            raise Stopped
