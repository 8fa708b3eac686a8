"""Runs a prepared sweep to its end: work goes out, events come in, rows go to the ledger and to MLflow."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from madray.chain import read_numbers
from madray.engine.events import Event, GenerationMade, Note, Progress, WorkFailed, WorkMade
from madray.engine.prepare import Prepared, like
from madray.engine.schedule import Schedule, Work, chains_of
from madray.errors import Missing
from madray.forest import RECORD
from madray.ledger import Failure, Row
from madray.plan import Plan, Release, Segment, plan
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

    def begin(self, plan: Plan) -> None:
        """A plan was made, and work starts."""

    def event(self, event: Event) -> None:
        """Something happened."""


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        states: of each chain, by id.
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
    driver = _Driver(prepared, display, follower)
    prepared.ledger.write_record(prepared.record)
    driver.catch_up()
    try:
        for left in reversed(range(_ROUNDS)):
            if prepared.plan.complete:
                break
            prepared.sources.bring(
                {made.source.key: made.source for made in prepared.forest.made.values()}.values()
            )
            display.begin(prepared.plan)
            if not driver.carry_out(executor, may_mend=left > 0):
                break
            prepared = driver.plan_again()
    except KeyboardInterrupt:
        driver.stopped = True
    finally:
        driver.flush()
    return driver.outcome()


class _Driver:
    """The state of one run: numbers and rows as they come in, and what failed."""

    def __init__(self, prepared: Prepared, display: Display, follower: Follower | None) -> None:
        self.prepared = prepared
        self.rows = dict(prepared.rows)
        self.failures: list[Failure] = []
        self.stopped = False
        self._display = display
        self._follower = follower
        self._numbers: dict[str, Mapping[str, float]] = {}
        self._fresh: list[Row] = []
        self._flushed = time.monotonic()
        self._damaged = False
        self._may_mend = True
        self._records = list(zip(prepared.forest.chains, prepared.record.chains, strict=True))

    def catch_up(self) -> None:
        """Write rows whose numbers are in the store but which nobody wrote down, and show all of them."""
        known = list(self.rows.values())
        for place, (chain, record) in enumerate(self._records):
            for t, key in enumerate(record.rows, start=1):
                stored = all(
                    ("measurements", each.measurement) in self.prepared.markers
                    for each in chain.numbers[t - 1]
                )
                made = ("generations", chain.generations[t - 1]) in self.prepared.markers
                if stored and made and (record.id, t, key) not in self.rows:
                    self._finish(place, t, math.nan, math.nan)
        if self._follower is not None and known:
            wanted = {(record.id, key) for _, record in self._records for key in record.rows}
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
            keys = {order.generation.key for order in work.orders} if isinstance(work, Segment) else {name}
            if failed & keys:
                schedule.fail(name)

    def _let_go(self, release: Release) -> None:
        for kind, key in release.spent:
            self.prepared.store.drop(kind, key, keep=(RECORD,) if kind == "generations" else ())

    def plan_again(self) -> Prepared:
        """A plan of what is missing now."""
        forest = self.prepared.forest
        markers = self.prepared.store.markers(forest.artifacts())
        self.prepared = replace(self.prepared, markers=markers, plan=plan(forest, markers))
        return self.prepared

    def flush(self) -> None:
        """Write finished rows to the ledger, and show them to the follower."""
        self._flushed = time.monotonic()
        rows, self._fresh = self._fresh, []
        self.prepared.ledger.append(rows)
        if self._follower is not None and rows:
            self._follower.follow(rows)

    def outcome(self) -> Outcome:
        """How things stand at the end."""
        failed = {chain for failure in self.failures for chain in failure.chains}
        states: dict[str, State] = {}
        for _, record in self._records:
            whole = all((record.id, t, key) in self.rows for t, key in enumerate(record.rows, start=1))
            states[record.id] = "finished" if whole else "failed" if record.id in failed else "stopped"
        return Outcome(states, self.rows, self.failures, self.stopped)

    def _workers(self) -> int:
        return self.prepared.sweep.resources.concurrent or 2

    def _handle(self, event: Event, schedule: Schedule) -> None:
        match event:
            case GenerationMade():
                self._numbers |= event.numbers
                made = self.prepared.forest.made[event.generation]
                # What it took is known of whole fits alone, not of the rest of what another run began.
                took = (event.seconds, event.size_bytes) if event.fitted else (math.nan, math.nan)
                for place in sorted(made.chains):
                    self._finish(place, made.generation.t, *took)
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
        chains = sorted(self._records[place][1].id for place in chains_of(lost))
        failure = Failure(event.generation, event.t, chains, event.error, event.traceback)
        self.failures.append(failure)
        self.prepared.ledger.write_failure(failure)

    def _finish(self, place: int, t: int, seconds: float, size_bytes: float) -> None:
        """Add the row of a chain's generation, if all its numbers are known."""
        chain, record = self._records[place]
        key = record.rows[t - 1]
        known = self.rows.get((record.id, t, key))
        if known is not None and (math.isnan(seconds) or not math.isnan(known.seconds)):
            return
        try:
            numbers = {
                each.name: self._number(each.measurement)[each.metric_name] for each in chain.numbers[t - 1]
            }
        except Missing:
            return  # another cell's λ is still to be measured
        made = self.prepared.forest.made[chain.generations[t - 1]]
        row = Row(
            chain=record.id,
            t=t,
            key=key,
            generation=chain.generations[t - 1],
            numbers=numbers,
            picture=chain.pictures[t - 1],
            like=like(made.generation.settings, made.source),
            n=sum(draw.n for draw in made.training),
            seconds=seconds,
            size_bytes=size_bytes,
        )
        self.rows[record.id, t, key] = row
        self._fresh.append(row)

    def _number(self, measurement: str) -> Mapping[str, float]:
        if measurement not in self._numbers:
            self._numbers[measurement] = read_numbers(self.prepared.store, measurement)
        return self._numbers[measurement]
