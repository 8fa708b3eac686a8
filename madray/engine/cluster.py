"""Carries out a sweep on Ray: Tune runs trials, a Searcher hands each the work that can be made now."""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray import tune
from ray.tune.search import Searcher

from madray.engine.events import Note, WorkFailed, from_json
from madray.engine.nodes import refuse_what_no_node_has
from madray.engine.schedule import Schedule
from madray.engine.sweep import Emit
from madray.engine.tables import Tables
from madray.engine.threads import thread_variables
from madray.engine.trainer import Setting, Trainer
from madray.errors import BadInput
from madray.spec.sweep import Resources
from madray.store import Store

_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # trials report events, and no metric to be searched by
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the handler below stops the sweep and says how to go on
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_DELIM": "/",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",  # the store is the ledger, Tune's own state a convenience
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}

_LOOK_SECONDS = 3.0


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
        with _cluster(self._address, resources), _asked_to_stop() as stop:
            refuse_what_no_node_has(resources)
            logging.getLogger("ray.tune").setLevel(logging.ERROR)
            room = resources.tables_gb * 1e9
            tables: Any = ray.remote(num_cpus=0, max_restarts=3)(Tables).remote(store, room)
            work = {name: ray.put(each) for name, each in schedule.work.items()}
            setting = Setting(store, resources, work, tables)
            with tempfile.TemporaryDirectory(prefix="madray-tune-", ignore_cleanup_errors=True) as folder:
                _tune(schedule, setting, emit, stop, folder)
            with suppress(ray.exceptions.RayError):
                self.reads = ray.get(tables.reads.remote(), timeout=5)
            del tables, work, setting
            if stop.is_set():
                raise KeyboardInterrupt


def _tune(schedule: Schedule, setting: Setting, emit: Emit, stop: threading.Event, folder: str) -> None:
    resources = setting.resources
    follower = _Follower(schedule, emit)
    bundles = [{"CPU": resources.cpus, "GPU": resources.gpus}, *[{"CPU": 1.0}] * resources.samplers]
    trainable = tune.with_resources(
        tune.with_parameters(Trainer, setting=setting),
        tune.PlacementGroupFactory([{name: n for name, n in bundle.items() if n} for bundle in bundles]),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=_Segments(schedule, follower, _Room(resources)),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=folder,
            stop=_Stop(stop),
            failure_config=tune.FailureConfig(max_failures=resources.max_failures),
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

    def __init__(self, schedule: Schedule, follower: _Follower, room: _Room) -> None:
        super().__init__(metric="none", mode="max")
        self._schedule = schedule
        self._follower = follower
        self._room = room

    def suggest(self, trial_id: str) -> Any:
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
        self._follower.over(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a new plan is made from the store each time."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""


class _Follower(_OfTheDriver, tune.Callback):
    """Turns the results of trials into events, and the death of an actor into a failure."""

    def __init__(self, schedule: Schedule, emit: Emit) -> None:
        self.running: dict[str, list[str]] = {}
        self._schedule = schedule
        self._emit = emit

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        for event in from_json(result.get("events", "[]")):
            self._emit(event)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit(Note("a trainer died; its work goes on in another one"))

    def over(self, trial_id: str) -> None:
        """A trial ended. What it was given and did not tell of is lost: its actor died too often."""
        for name in self.running.pop(trial_id, []):
            if name not in self._schedule.done | self._schedule.failed:
                self._emit(
                    WorkFailed(name, name, 0, "the trainer died more often than resources.max_failures", "")
                )


class _Stop(_OfTheDriver, tune.Stopper):
    """Ends the experiment when the user asks for it."""

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._asked.is_set()


@contextmanager
def _cluster(address: str | None, resources: Resources) -> Iterator[None]:
    """A connection to a Ray cluster: one that is there already, or a local one for as long as this lasts.

    Raises: BadInput, if nothing answers at the address.
    """
    if ray.is_initialized():
        yield
        return
    variables = thread_variables(resources.threads)
    if address is None:
        # Workers import what the driver can: a module beside the sweep file, for one.
        path = [os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        variables["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    try:
        ray.init(
            address=address or "local",
            include_dashboard=False if address is None else None,
            configure_logging=True,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env={"env_vars": variables},
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is None:
            raise
        raise BadInput(f"--address: expected a Ray cluster at {address}, got {error}") from None
    try:
        yield
    finally:
        # Tune leaves cycles that hold actors and objects. Collected during or after Ray's end, perhaps by
        # the thread that writes to MLflow, they would end this process with it.
        gc.collect()
        ray.shutdown()


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set. A second Ctrl-C ends the process as it always does."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in before:
        signal.signal(number, stop)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
