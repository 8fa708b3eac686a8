"""Carries out pieces of work in one process and tells events; the same with Ray and without."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from madray.artifacts import Artifacts, Marker
from madray.bundles import Batch
from madray.calculations import Calculation
from madray.chain import Maker, Spread
from madray.checkpoints import StoredCheckpoint
from madray.engine.calculate import load_theory, make_calculation
from madray.engine.events import (
    CalculationMade,
    Event,
    GenerationMade,
    Note,
    Progress,
    WorkFailed,
    WorkMade,
)
from madray.engine.schedule import BATCH_SECONDS
from madray.engine.work import Work, goes_with_others
from madray.errors import Missing, Stopped
from madray.forest import Order, RealOrder
from madray.growth import Pair
from madray.plan import Segment
from madray.store import Store
from madray.tables import TableReader

Tell = Callable[[Event], None]
Markers = Mapping[Pair, Marker]


class Worker:
    """Makes pieces of work, one after the other; small ones go into the store together."""

    def __init__(
        self,
        store: Store,
        *,
        checkpoint_seconds: float,
        tables: TableReader | None = None,
        spread: Spread | None = None,
    ) -> None:
        self._store = store
        self._leave, self._soon = threading.Event(), threading.Event()
        checkpoints = partial(
            StoredCheckpoint, store, seconds=checkpoint_seconds, leave=self._leave, soon=self._soon
        )
        self._maker = Maker(store, tables=tables, checkpoints=checkpoints, spread=spread)

    def leave(self) -> None:
        """Stop work as soon as what is made so far is in the store; from another thread."""
        self._leave.set()

    def checkpoint_soon(self) -> None:
        """Have a fit under way leave a checkpoint at its next step, and go on; from another thread."""
        self._soon.set()

    def carry_out(self, works: Sequence[Work], tell: Tell) -> None:
        """Make these pieces of work. Exceptions of a user's code are told, never raised."""
        with suppress(Stopped):
            self._carry_all_out(works, tell)

    def _carry_all_out(self, works: Sequence[Work], tell: Tell) -> None:
        small = [work for work in works if goes_with_others(work)]
        if any(isinstance(work, Calculation) for work in small):
            load_theory()
        together = _Together(self._store, small, tell)
        try:
            for work in small:
                if isinstance(work, Calculation):  # it may take as long as a fit, so that it is worth a word
                    tell(Progress(work.key, 0, "calculate", 0, 1))
                together.begin(work)
                self._carry_out(together.maker, work, together.hold, together.markers)
        finally:
            together.settle()
        for work in works:
            if not goes_with_others(work):
                self._carry_out(self._maker, work, tell, partial(_markers, self._store, [work]))

    def _carry_out(self, maker: Maker, work: Work, tell: Tell, markers: Callable[[], Markers]) -> None:
        if self._leave.is_set():
            raise Stopped
        started = time.perf_counter()
        at, t = work.id, 0
        try:
            match work:
                case RealOrder():
                    maker.make_real_side(work)
                case Calculation():
                    numbers = make_calculation(maker.artifacts, work)
                    tell(CalculationMade(work.key, time.perf_counter() - started, numbers))
                case Segment():
                    # What is left of it: another worker may have died over it.
                    left = work.begun(markers())
                    for order in left.orders:
                        at, t = order.generation.key, order.generation.t
                        tell(self._make(maker, left, order, tell))
        except Exception as error:  # whatever it is, it fails this piece of work and no other
            tell(_failed(work, at, t, error))
        else:
            tell(WorkMade(work.id, time.perf_counter() - started))
        while maker.artifacts.notes:
            tell(Note(maker.artifacts.notes.pop(0)))

    def _make(self, maker: Maker, segment: Segment, order: Order, tell: Tell) -> GenerationMade:
        started = time.perf_counter()
        key, t = order.generation.key, order.generation.t
        fitted = False

        def watch(phase: str, done: int, total: int) -> None:
            nonlocal fitted
            fitted = fitted or phase == "fit"
            # A fit leaves a checkpoint first; between chunks and metrics all that is made is in the store.
            if self._leave.is_set() and (phase != "fit" or done == 0):
                raise Stopped
            tell(Progress(key, t, phase, done, total))

        numbers = maker.make(
            order, watch, pictures=segment.pictures.get(key, ()), keep_weights=key in segment.kept
        )
        seconds = time.perf_counter() - started
        return GenerationMade(key, fitted, seconds, _size(maker.artifacts, order), numbers)


class _Together:
    """Small pieces of work that go into the store as bundles, and are told when that is true."""

    def __init__(self, store: Store, works: Sequence[Work], tell: Tell) -> None:
        self._batch = Batch(store)
        self.maker = Maker(self._batch)
        self._tell = tell
        self._all = works
        self._markers: Markers | None = None
        self._works: dict[str, Work] = {}
        self._held: list[Event] = []
        self._begun = time.monotonic()

    def begin(self, work: Work) -> None:
        """A piece of work begins."""
        self._works[work.id] = work

    def markers(self) -> Markers:
        """Of what these pieces make, as far as others made it before: the store is asked once for all."""
        if self._markers is None:
            self._markers = _markers(self._batch, self._all)
        return self._markers

    def hold(self, event: Event) -> None:
        """Keep an event until what it tells of is in the store. What has filled seconds is settled, be it in
        the middle of a long chain: a kill must not cost more."""
        if isinstance(event, Progress):
            return
        self._held.append(event)
        if time.monotonic() - self._begun > BATCH_SECONDS:
            self.settle()

    def settle(self) -> None:
        """Write what is held, and tell it."""
        try:
            self._batch.flush()
        except Exception as error:  # nothing of it is made
            self._held = [_failed(work, work.id, 0, error) for work in self._works.values()]
        for event in self._held:
            self._tell(event)
            if isinstance(event, WorkMade | WorkFailed):
                self._works.pop(event.id, None)
        self._held = []
        self._begun = time.monotonic()


def _markers(artifacts: Artifacts, works: Sequence[Work]) -> Markers:
    """What the store holds of what these segments make."""
    return artifacts.markers(pair for work in works if isinstance(work, Segment) for pair in work.artifacts())


def _failed(work: Work, at: str, t: int, error: Exception) -> WorkFailed:
    told = "".join(traceback.format_exception(error))
    damaged = isinstance(error, Missing)
    return WorkFailed(work.id, at, t, f"{type(error).__name__}: {error}", told, damaged)


def _size(artifacts: Artifacts, order: Order) -> int:
    """Bytes that a generation takes in the store, where that is cheap to know."""
    if not isinstance(artifacts, Store):
        return 0
    keys = [("generations", order.generation.key)]
    keys += [("draws", chunk) for draw in order.outputs for chunk in draw.chunk_keys()]
    return sum(marker.size for marker in artifacts.markers(keys).values())
