"""How Tune's trials come to an end and to work: who is handed what, who starts first, and what a death means.

All of it lives in the driver. Tune asks a searcher for trials, a scheduler for the one to start, and tells a
callback what became of them.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from madray.engine.events import Note, WorkFailed, from_json
from madray.engine.nodes import Waiting
from madray.engine.schedule import Schedule
from madray.engine.sweep import Emit
from madray.spec.sweep import Resources

_LOOK_SECONDS = 3.0
_PATIENCE_SECONDS = 60.0
"""How long a trial may take to start where nothing else runs; each time twice as long, for it may be slow."""


class Room:
    """How many trials may be handed out at a time: as many as the file says, or as the cluster has room for.

    Looked up again every few seconds: a cluster that has just begun does not know its own size, and one
    that grows has another later.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._looked = -math.inf
        self._trials = 1

    def trials(self) -> int:
        wanted = self._resources
        if wanted.concurrent is not None:
            return wanted.concurrent
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call] # Ray's own
            room = have.get("CPU", 0.0) / (wanted.cpus + wanted.samplers)
            if wanted.gpus:
                room = min(room, have.get("GPU", 0.0) / wanted.gpus)
            self._trials = max(1, int(room))
            self._looked = time.monotonic()
        return self._trials


class OfTheDriver:
    """Lives in the driver alone. Tune pickles what it is given, for a `restore` that madray never asks for:
    the store is the ledger."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (object, ())

    def __deepcopy__(self, memo: dict[int, Any]) -> OfTheDriver:
        return self


class Follower(OfTheDriver, tune.Callback):
    """Turns the results of trials into events, and gives the work of an actor that died to another one."""

    def __init__(self, schedule: Schedule, emit: Emit, max_failures: int) -> None:
        self.running: dict[str, list[str]] = {}
        self.heard = False
        self._schedule = schedule
        self._emit = emit
        self._max_failures = max_failures
        self._deaths: Counter[str] = Counter()

    def say(self, note: str) -> None:
        """Tell something that a user should know."""
        self._emit(Note(note))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.heard = True
        for event in from_json(result.get("events", "[]")):
            self._emit(event)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.over(trial.trial_id, "its last report was lost")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.over(trial.trial_id, Path(trial.error_file).read_text() if trial.error_file else "")

    def give_up(self, trial_id: str) -> None:
        """A trial that never started is about to be ended: its work goes to another one, and nobody died."""
        for name in self.running.pop(trial_id, []):
            self._schedule.give_back(name)

    def over(self, trial_id: str, reason: str) -> None:
        """A trial ended. What it was given and did not tell of goes to another one, or failed if that was so
        often enough."""
        left = [name for name in self.running.pop(trial_id, []) if not self._schedule.settled(name)]
        self._deaths.update(left)
        again = [name for name in left if self._deaths[name] <= self._max_failures]
        for name in again:
            self._schedule.give_back(name)
        if again:
            self._emit(Note("a trainer died; its work goes on in another one"))
        for name in left:
            if name not in again:
                often = f"its trainer died {self._deaths[name]} times"
                limit = f"resources.max_failures is {self._max_failures}"
                self._emit(WorkFailed(name, name, 0, f"{often}, and {limit}", reason))


class Segments(OfTheDriver, Searcher):
    """Hands out work whose parents are in the store, and answers None while there is none."""

    def __init__(self, schedule: Schedule, follower: Follower, room: Room, waiting: Waiting) -> None:
        super().__init__(metric="none", mode="max")
        self._waiting = waiting
        self._schedule = schedule
        self._follower = follower
        self._room = room

    def suggest(self, trial_id: str) -> Any:
        if not self._follower.heard and (told := self._waiting.told()):
            self._follower.say(told)
        if self._schedule.exhausted and not self._follower.running:
            return Searcher.FINISHED
        if len(self._follower.running) >= self._room.trials():
            return None
        names = self._schedule.take()
        if not names:
            return None
        self._follower.running[trial_id] = names
        return {"work": names}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: `Follower` is told as well, and of the reason."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a new plan is made from the store each time."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""


class NewestFirst(OfTheDriver, FIFOScheduler):
    """Gives a trainer that has become free the newest trial, which was made because it did.

    Tune's own order gives it the oldest one, whose trainer is starting, and ends that trainer: batches of two
    seconds would keep a trainer that takes three to start from ever beginning.

    Where nothing runs, and what is to start does not, it is given up, and its work goes to another trial. Ray
    does not always start a trainer that it was asked for while a node was dying: its placement group stays
    where it is, and holds what room there is.
    """

    def __init__(
        self,
        follower: Follower,
        *,
        patience_seconds: float | None = None,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Tune's own
        self._follower = follower
        self._added: dict[str, int] = {}
        self._now = now_seconds
        self._least_patience = self._patience = patience_seconds or _PATIENCE_SECONDS
        self._still_since: float | None = None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._added[trial.trial_id] = len(self._added)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        trials = tune_controller.get_live_trials()
        waiting = [trial for trial in trials if trial.status == "PENDING"]
        if any(trial.status == "RUNNING" for trial in trials):
            self._still_since, self._patience = None, self._least_patience
        elif not waiting:
            self._still_since = None
        elif self._still_since is None:
            self._still_since = self._now()
        elif self._now() - self._still_since > self._patience:
            still = f"nothing has run for {self._patience:.0f} s, and no trainer starts"
            self._follower.say(f"{still}: the cluster is asked for others")
            self._still_since, self._patience = None, 2 * self._patience
            for trial in waiting:
                self._follower.give_up(trial.trial_id)
                tune_controller.stop_trial(trial)
            return None
        return max(waiting, key=lambda trial: self._added[trial.trial_id], default=None)


class Stop(OfTheDriver, tune.Stopper):
    """Ends the experiment when the user asks for it."""

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._asked.is_set()
