"""The trainer actor: a Tune Trainable that carries out the work it is given, and reports as it goes."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from madray.engine.events import CalculationMade, Event, GenerationMade, Progress, to_json
from madray.engine.samplers import SpreadOverSamplers
from madray.engine.tables import SharedTables
from madray.engine.work import Work
from madray.engine.worker import Worker
from madray.spec.sweep import Resources
from madray.store import Store

LEAVE_FILE = "MADRAY_LEAVE_FILE"
"""Names a file that appears when the node is about to go: a pod's `preStop` hook makes it, for one."""

_REPORT_SECONDS = 1.0
_NOTICE_SECONDS = 0.5
_LEAVE_SECONDS = 3.5
"""How long a worker may take to leave: Tune kills an actor that takes more than 5 s, with the last report."""


@dataclass(frozen=True)
class Setting:
    """What every trainer of a sweep is told.

    Attributes:
        work: by the id of each piece of work a reference to an object that holds it, by id.
        tables: the `Tables` actor.
    """

    store: Store
    resources: Resources
    work: Mapping[str, Any]
    tables: Any


def watch_for_notice(file: Path, told: Callable[[], object]) -> None:
    """Wait for a file to appear, and tell."""
    while not file.exists():
        time.sleep(_NOTICE_SECONDS)
    told()


class Trainer(tune.Trainable):
    """Makes pieces of work in a thread of its own; a step waits for what there is to report.

    A fit may take hours, a step about a second: so a user sees how far it is, and Tune can stop it.
    """

    def setup(self, config: dict[str, Any], setting: Setting | None = None) -> None:
        assert setting is not None
        self._setting = setting
        spread = None
        if setting.resources.samplers:
            spread = SpreadOverSamplers(setting.store, setting.resources.samplers, setting.resources.threads)
        self._worker = Worker(
            setting.store,
            checkpoint_seconds=setting.resources.checkpoint_seconds,
            tables=SharedTables(setting.store, setting.tables),
            spread=spread,
        )
        if notice := os.environ.get(LEAVE_FILE):
            threading.Thread(
                target=watch_for_notice, args=(Path(notice), self._worker.checkpoint_soon), daemon=True
            ).start()
        self._begin(config["work"])

    def step(self) -> dict[str, Any]:
        events = self._wait()
        over = not self._thread.is_alive() and self._events.empty()
        return {"events": to_json(events), "done": over}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._thread.join()
        self._begin(new_config["work"])
        return True

    def cleanup(self) -> None:
        """Tune ends this actor, at the end of all or because somebody asked for it: a fit under way leaves a
        checkpoint first."""
        self._worker.leave()
        self._thread.join(_LEAVE_SECONDS)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: what is made is in the store, and long fits leave their checkpoints there."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: see `save_checkpoint`."""

    def _begin(self, names: Sequence[str]) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        references = [self._setting.work[name] for name in names]
        held: dict[str, Work] = {}
        for reference in dict.fromkeys(references):
            held |= ray.get(reference)
        works = [held[name] for name in names]
        # A daemon: when Tune stops this actor, a fit under way must not keep its process alive.
        self._thread = threading.Thread(
            target=self._worker.carry_out, args=(works, self._events.put), daemon=True, name="madray-worker"
        )
        self._thread.start()

    def _wait(self) -> list[Event]:
        """What happened since the last step: at once when something was made, else after a second. Of the
        progress of one generation only the newest is told."""
        until = time.monotonic() + _REPORT_SECONDS
        events: list[Event] = []
        newest: Progress | None = None
        while (left := until - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=min(left, 0.02) if not self._thread.is_alive() else left)
            except queue.Empty:
                if not self._thread.is_alive():
                    break
                continue
            if isinstance(event, Progress):
                newest = event
                continue
            if isinstance(event, GenerationMade | CalculationMade):
                newest = None
            events.append(event)
            until = min(until, time.monotonic() + 0.02)
        return [*events, newest] if newest is not None else events
