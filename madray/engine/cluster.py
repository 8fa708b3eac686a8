"""Carries out a sweep on Ray: Tune runs trials, a Searcher hands each the work that can be made now."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from contextlib import suppress
from typing import Any

import ray
from ray import tune

from madray.engine.connection import connected, is_local
from madray.engine.groups import settled_groups
from madray.engine.nodes import Waiting, refuse_what_no_node_has
from madray.engine.schedule import Schedule
from madray.engine.stopping import asked_to_stop
from madray.engine.sweep import Emit
from madray.engine.tables import Tables
from madray.engine.trainer import Setting, Trainer
from madray.engine.trials import Follower, NewestFirst, Room, Segments, Stop
from madray.engine.work import goes_with_others
from madray.spec.sweep import Resources
from madray.store import Store

_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # trials report events, and no metric to be searched by
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the handler below stops the sweep and says how to go on
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_DELIM": "/",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # trainers start side by side; how many there may be `Room` says
    "TUNE_GLOBAL_CHECKPOINT_S": "600",  # the store is the ledger, Tune's own state a convenience
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}

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
        # "Trials did not complete" is an error to it; which work failed, and why, is told already.
        logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
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
    follower = Follower(schedule, emit, resources.max_failures)
    bundles = [{"CPU": resources.cpus, "GPU": resources.gpus}, *[{"CPU": 1.0}] * resources.samplers]
    trainable = tune.with_resources(
        tune.with_parameters(Trainer, setting=setting),
        tune.PlacementGroupFactory([{name: n for name, n in bundle.items() if n} for bundle in bundles]),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=Segments(schedule, follower, Room(resources), Waiting(resources)),
            scheduler=NewestFirst(follower),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=folder,
            stop=Stop(stop),
            # A trial ends with its actor, and `Follower` gives its work to another. Tune could go on with
            # the same trial, but loses one whose actor dies while it is being reused: it counts as failed at
            # once, or waits for ever (it stays in `TuneController._resetting_trials`; seen with ray 2.60).
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[follower],
            verbose=0,
        ),
    )
    with settled_groups():
        tuner.fit()
