"""Carries out a sweep in this process: no Ray, one piece of work after the other."""

from __future__ import annotations

from madray.engine.schedule import Schedule
from madray.engine.sweep import Emit
from madray.engine.threads import limited_threads
from madray.engine.worker import Worker
from madray.spec.sweep import Resources
from madray.store import Store


def execute_here(schedule: Schedule, store: Store, resources: Resources, emit: Emit) -> None:
    """The executor of `madray.run_chain`."""
    with limited_threads(resources.threads):
        worker = Worker(store, checkpoint_seconds=resources.checkpoint_seconds)
        while names := schedule.take():
            worker.carry_out([schedule.work[name] for name in names], emit)
