"""Carries out a sweep on Ray: Tune runs trials, a Searcher hands each the work that can be made now."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from madray.engine.connection import connected, is_local
from madray.engine.events import Note, WorkFailed, from_json
from madray.engine.nodes import Waiting, refuse_what_no_node_has
from madray.engine.schedule import Schedule
from madray.engine.stopping import asked_to_stop
from madray.engine.sweep import Emit
from madray.engine.tables import Tables
from madray.engine.trainer import Setting, Trainer
from madray.engine.work import goes_with_others
from madray.spec.sweep import Resources
from madray.store import Store

_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # trials report events, and no metric to be searched by
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the handler below stops the sweep and says how to go on
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_DELIM": "/",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # trainers start side by side; how many there may be `_Room` says
    "TUNE_GLOBAL_CHECKPOINT_S": "600",  # the store is the ledger, Tune's own state a convenience
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}

_LOOK_SECONDS = 3.0
_IN_AN_OBJECT = 50
"""How many small pieces of work share an object of Ray's."""


class OnRay:
    """The executor of `madray sweep`: a local Ray of its own, or the cluster at an address.

    Attributes:
        reads: how often the last run read each table of the store into the cluster.
    """

    def __init__(self, address: str | None) -> None:
        self.reads: dict[str, int] = {}
        self._address = address

    def __call__(self, schedule: Schedule, store: Store, resources: Resources, emit: Emit) -> None:
        os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
        with connected(self._address, resources), asked_to_stop() as stop:
            try:
                self._carry_out(schedule, store, resources, emit, stop)
            except Exception:
                if not stop.is_set():
                    raise  # else it is Ray that was told to leave as well
            if stop.is_set():
                raise KeyboardInterrupt

    def _carry_out(
        self, schedule: Schedule, store: Store, resources: Resources, emit: Emit, stop: threading.Event
    ) -> None:
        refuse_what_no_node_has(resources, grows=not is_local(self._address))
        logging.getLogger("ray.tune").setLevel(logging.ERROR)
        logging.getLogger("ray.tune.tune").setLevel(
            logging.CRITICAL
        )  # "Trials did not complete": told already
        room = resources.tables_gb * 1e9
        tables: Any = ray.remote(num_cpus=0, max_restarts=-1)(Tables).remote(store, room)
        work = _handed_over(schedule)
        setting = Setting(store, resources, work, tables)
        with tempfile.TemporaryDirectory(prefix="madray-tune-", ignore_cleanup_errors=True) as folder:
            _tune(schedule, setting, emit, stop, folder)
        with suppress(ray.exceptions.RayError):
            self.reads = ray.get(tables.reads.remote(), timeout=5)
        del tables, work, setting


def _handed_over(schedule: Schedule) -> dict[str, Any]:
    """For each piece of work the object of Ray's that it is in. Small ones share objects, in the order in
    which they go out: ten thousand objects would take longer to keep than the work takes to be done."""
    references: dict[str, Any] = {}
    small = []
    for name in schedule.in_order():
        if goes_with_others(schedule.work[name]):
            small.append(name)
        else:
            references[name] = ray.put({name: schedule.work[name]})
    for start in range(0, len(small), _IN_AN_OBJECT):
        names = small[start : start + _IN_AN_OBJECT]
        references |= dict.fromkeys(names, ray.put({name: schedule.work[name] for name in names}))
    return references


def _tune(schedule: Schedule, setting: Setting, emit: Emit, stop: threading.Event, folder: str) -> None:
    resources = setting.resources
    follower = _Follower(schedule, emit, resources.max_failures)
    bundles = [{"CPU": resources.cpus, "GPU": resources.gpus}, *[{"CPU": 1.0}] * resources.samplers]
    trainable = tune.with_resources(
        tune.with_parameters(Trainer, setting=setting),
        tune.PlacementGroupFactory([{name: n for name, n in bundle.items() if n} for bundle in bundles]),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=_Segments(schedule, follower, _Room(resources), Waiting(resources)),
            scheduler=_NewestFirst(),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=folder,
            stop=_Stop(stop),
            # A trial ends with its actor, and `_Follower` gives its work to another. Tune could go on with
            # the same trial, but loses one whose actor dies while it is being reused: it counts as failed at
            # once, or waits for ever (it stays in `TuneController._resetting_trials`; seen with ray 2.60).
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[follower],
            verbose=0,
        ),
    )
    tuner.fit()


class _Room:
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


class _OfTheDriver:
    """Lives in the driver alone. Tune pickles what it is given, for a `restore` that madray never asks for:
    the store is the ledger."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (object, ())

    def __deepcopy__(self, memo: dict[int, Any]) -> _OfTheDriver:
        return self


class _Segments(_OfTheDriver, Searcher):
    """Hands out work whose parents are in the store, and answers None while there is none."""

    def __init__(self, schedule: Schedule, follower: _Follower, room: _Room, waiting: Waiting) -> None:
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
        """Nothing: `_Follower` is told as well, and of the reason."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a new plan is made from the store each time."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""


class _NewestFirst(_OfTheDriver, FIFOScheduler):
    """Gives a trainer that has become free the newest trial, which was made because it did.

    Tune's own order gives it the oldest one, whose trainer is starting, and ends that trainer: batches of two
    seconds would keep a trainer that takes three to start from ever beginning.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Tune's own
        self._added: dict[str, int] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._added[trial.trial_id] = len(self._added)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status == "PENDING"]
        return max(waiting, key=lambda trial: self._added[trial.trial_id], default=None)


class _Follower(_OfTheDriver, tune.Callback):
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


class _Stop(_OfTheDriver, tune.Stopper):
    """Ends the experiment when the user asks for it."""

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._asked.is_set()
