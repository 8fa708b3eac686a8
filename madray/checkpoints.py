"""Checkpoints of long fits in the store's `work/`: named arrays and a step, the newest whole one counts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import safetensors.numpy

from madray.errors import Missing
from madray.generators.protocol import Checkpoint, NoCheckpoint, State
from madray.store import Store


def no_checkpoints(key: str) -> Checkpoint:
    """For fits that are over before a checkpoint would be due."""
    return NoCheckpoint()


class StoredCheckpoint:
    """Leaves the state of one fit in the store every few seconds; whoever comes next goes on from there."""

    def __init__(self, store: Store, key: str, *, seconds: float) -> None:
        self._store = store
        self._key = key
        self._seconds = seconds
        self._last = time.monotonic()

    def restore(self) -> tuple[int, State] | None:
        try:
            files = self._store.read("work", self._key)
        except Missing:
            return None
        step = json.loads(files["step.json"])["step"]
        return int(step), safetensors.numpy.load(files["state.safetensors"])

    def offer(self, step: int, state: Callable[[], State]) -> None:
        if time.monotonic() - self._last < self._seconds:
            return
        files = {
            "state.safetensors": safetensors.numpy.save(dict(state())),
            "step.json": json.dumps({"step": step}).encode(),
        }
        self._store.replace("work", self._key, files)
        self._last = time.monotonic()
