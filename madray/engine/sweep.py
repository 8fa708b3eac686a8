"""Runs a prepared sweep to its end: work goes out, events come in, rows go to the ledger and to MLflow."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from madray.engine.events import CalculationMade, Event, GenerationMade, Note, Progress, WorkFailed, WorkMade
from madray.engine.prepare import Prepared
from madray.engine.schedule import Schedule, chains_of
from madray.engine.targets import Numbers
from madray.engine.work import Work, WorkPlan
from madray.errors import Missing
from madray.forest import RECORD
from madray.ledger import Failure, Row
from madray.plan import Release
from madray.spec.sweep import Resources
from madray.store import Store

State = Literal["finished", "failed", "stopped"]
Emit = Callable[[Event], None]

_FLUSH_SECONDS = 2.0
_ROUNDS = 3
"""How often a new plan is made when something that should be in the store turns out to be damaged."""


class Executor(Protocol):
    """Where work is done: in this process, or on a Ray cluster."""

    def __call__(self, schedule: Schedule, store: Store, resources: Resources, emit: Emit) -> None:
        """Take work from the schedule until it is over, and emit events; KeyboardInterrupt stops it."""


class Follower(Protocol):
    """Who wants to see rows as they are finished: MLflow."""

    def follow(self, rows: Sequence[Row]) -> None:
        """Take note of rows; returns at once."""


class Display(Protocol):
    """What a user sees while a sweep runs."""

    def begin(self, plan: WorkPlan) -> None:
        """A plan was made, and work starts."""

    def event(self, event: Event) -> None:
        """Something happened."""


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        states: of each chain that this driver makes, by id.
        rows: all finished rows.
        failures: what could not be made in this run.
    """

    states: Mapping[str, State]
    rows: Mapping[tuple[str, int, str], Row]
    failures: Sequence[Failure]
    stopped: bool


def run(
    prepared: Prepared, *, executor: Executor, display: Display, follower: Follower | None = None
) -> Outcome:
    """Make all that is missing of a prepared sweep.

    Raises: BadInput, if the store cannot be written.
    """
    prepared.ledger.write_record(prepared.record)
    if prepared.before != prepared.record:
        # Before the record was there, `madray gc` may have taken what nobody else asked for.
        there = prepared.store.markers(prepared.markers)
        if there.keys() != prepared.markers.keys():
            prepared = prepared.planned(there)
    prepared.ledger.tidy()
    driver = _Driver(prepared, display, follower)
    driver.catch_up()
    try:
        for left in reversed(range(_ROUNDS)):
            if prepared.plan.complete:
                break
            prepared.sources.bring(prepared.targets.sources())
            display.begin(prepared.plan)
            if not driver.carry_out(executor, may_mend=left > 0):
                break
            prepared = driver.plan_again()
    except KeyboardInterrupt:
        driver.stopped = True
    finally:
        driver.flush()
    return driver.outcome()


def states_of(
    prepared: Prepared, rows: Mapping[tuple[str, int, str], Row], failures: Sequence[Failure] = ()
) -> dict[str, State]:
    """How each chain that this driver makes has ended, or will have where nothing more is done."""
    failed = {chain for failure in failures for chain in failure.chains}
    states: dict[str, State] = {}
    for place in sorted(prepared.mine):
        chain = prepared.record.chains[place]
        whole = all((chain.id, t, key) in rows for t, key in enumerate(chain.rows, start=1))
        states[chain.id] = "finished" if whole else "failed" if chain.id in failed else "stopped"
    return states


class _Driver:
    """The state of one run: numbers and rows as they come in, and what failed."""

    def __init__(self, prepared: Prepared, display: Display, follower: Follower | None) -> None:
        self.prepared = prepared
        self.rows = dict(prepared.rows)
        self.failures: list[Failure] = []
        self.stopped = False
        self._display = display
        self._follower = follower
        self._numbers: dict[str, Numbers] = {}
        self._fresh: list[Row] = []
        self._flushed = time.monotonic()
        self._damaged = False
        self._may_mend = True
        self._chains = prepared.record.chains

    def catch_up(self) -> None:
        """Write rows whose numbers are in the store but which nobody wrote down, and show all of its own."""
        known = list(self.rows.values())
        markers = self.prepared.markers
        for place in sorted(self.prepared.mine):
            chain = self._chains[place]
            for t, key in enumerate(chain.rows, start=1):
                needs = self.prepared.targets.needs(place, t)
                if (chain.id, t, key) not in self.rows and all(pair in markers for pair in needs):
                    self._finish(place, t, math.nan, math.nan)
        if self._follower is not None and known:
            mine = [self._chains[place] for place in sorted(self.prepared.mine)]
            wanted = {(chain.id, key) for chain in mine for key in chain.rows}
            self._follower.follow([row for row in known if (row.chain, row.key) in wanted])
        self.flush()

    def carry_out(self, executor: Executor, *, may_mend: bool) -> bool:
        """Run what is planned; returns whether damage was found, so that a new plan has to be made.

        Args:
            may_mend: whether a new plan will be made; without, damage is a failure like any other.
        """
        self._damaged = False
        self._may_mend = may_mend
        schedule = Schedule(self.prepared.plan, workers=self._workers())
        self._fail_again(schedule)
        if schedule.over:
            return False
        releases: dict[str, list[Release]] = defaultdict(list)
        for release in self.prepared.plan.releases:
            for name in release.after:
                releases[name].append(release)

        def emit(event: Event) -> None:
            self._handle(event, schedule)
            if isinstance(event, WorkMade):
                for release in releases.pop(event.id, []):
                    if release.after <= schedule.done:
                        self._let_go(release)
            self._display.event(event)
            if time.monotonic() - self._flushed > _FLUSH_SECONDS:
                self.flush()

        executor(schedule, self.prepared.store, self.prepared.sweep.resources, emit)
        return self._damaged

    def _fail_again(self, schedule: Schedule) -> None:
        """What failed in an earlier round is a result, and is not tried once more."""
        failed = {failure.generation for failure in self.failures}
        if not failed:
            return
        for name, work in schedule.work.items():
            if failed & {name, *work.targets}:
                schedule.fail(name)

    def _let_go(self, release: Release) -> None:
        for kind, key in release.spent:
            self.prepared.store.drop(kind, key, keep=(RECORD,) if kind == "generations" else ())

    def plan_again(self) -> Prepared:
        """A plan of what is missing now."""
        targets = self.prepared.targets
        self.prepared = self.prepared.planned(self.prepared.store.markers(targets.artifacts()))
        return self.prepared

    def flush(self) -> None:
        """Write finished rows to the ledger, and show them to the follower."""
        self._flushed = time.monotonic()
        rows, self._fresh = self._fresh, []
        self.prepared.ledger.append(rows)
        if self._follower is not None and rows:
            # A beginning that chains share gives rows of other drivers' chains as well, which those show.
            mine = {self._chains[place].id for place in self.prepared.mine}
            self._follower.follow([row for row in rows if row.chain in mine])

    def outcome(self) -> Outcome:
        """How things stand at the end."""
        if self.prepared.shard is not None:  # other drivers wrote rows meanwhile
            self.rows = {**self.prepared.ledger.rows(), **self.rows}
        states = states_of(self.prepared, self.rows, self.failures)
        return Outcome(states, self.rows, self.failures, self.stopped)

    def _workers(self) -> int:
        return self.prepared.sweep.resources.concurrent or 2

    def _handle(self, event: Event, schedule: Schedule) -> None:
        match event:
            case GenerationMade():
                self._numbers |= event.numbers
                # What it took is known of whole fits alone, not of the rest of what another run began.
                took = (event.seconds, event.size_bytes) if event.fitted else (math.nan, math.nan)
                self._finish_all(event.target, *took)
            case CalculationMade():
                self._numbers[event.target] = event.numbers
                self._finish_all(event.target, event.seconds, 0.0)
            case WorkMade():
                schedule.made(event.id, event.seconds)
            case WorkFailed(damaged=True) if self._may_mend:
                # Not a result: the store lacked what it should have had. A new plan makes that again.
                schedule.fail(event.id)
                self._damaged = True
            case WorkFailed():
                self._fail(event, schedule)
            case Progress() | Note():
                pass

    def _fail(self, event: WorkFailed, schedule: Schedule) -> None:
        lost: list[Work] = [schedule.work[name] for name in schedule.fail(event.id)]
        chains = sorted(self._chains[place].id for place in chains_of(lost))
        failure = Failure(event.generation, event.t, chains, event.error, event.traceback)
        self.failures.append(failure)
        self.prepared.ledger.write_failure(failure)

    def _finish_all(self, target: str, seconds: float, size_bytes: float) -> None:
        """Add the rows that a target completes."""
        for place, t in self.prepared.targets.rows_of(target):
            self._finish(place, t, seconds, size_bytes)

    def _finish(self, place: int, t: int, seconds: float, size_bytes: float) -> None:
        """Add a row, if all its numbers are known."""
        chain = self._chains[place]
        key = chain.rows[t - 1]
        known = self.rows.get((chain.id, t, key))
        if known is not None and (math.isnan(seconds) or not math.isnan(known.seconds)):
            return
        try:
            row = self.prepared.targets.row_of(
                chain, place, t, read=self._read, seconds=seconds, size_bytes=size_bytes
            )
        except Missing:
            return  # another cell's λ is still to be measured
        self.rows[chain.id, t, key] = row
        self._fresh.append(row)

    def _read(self, key: str) -> Numbers:
        if key not in self._numbers:
            self._numbers[key] = self.prepared.targets.read(self.prepared.store, key)
        return self._numbers[key]
