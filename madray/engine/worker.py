"""Carries out pieces of work in one process and tells events; the same with Ray and without."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial

from madray.artifacts import Artifacts
from madray.bundles import Batch
from madray.chain import Maker, Spread
from madray.checkpoints import StoredCheckpoint
from madray.engine.events import Event, GenerationMade, Note, Progress, WorkFailed, WorkMade
from madray.engine.schedule import Work, work_id
from madray.errors import Missing
from madray.forest import Order, RealOrder
from madray.plan import Segment
from madray.store import Store
from madray.tables import TableReader

Tell = Callable[[Event], None]


class Worker:
    """Makes segments, one after the other; those of milliseconds go into the store together."""

    def __init__(
        self,
        store: Store,
        *,
        checkpoint_seconds: float,
        tables: TableReader | None = None,
        spread: Spread | None = None,
    ) -> None:
        self._store = store
        checkpoints = partial(StoredCheckpoint, store, seconds=checkpoint_seconds)
        self._maker = Maker(store, tables=tables, checkpoints=checkpoints, spread=spread)

    def carry_out(self, works: Sequence[Work], tell: Tell) -> None:
        """Make these pieces of work. Exceptions of a user's code are told, never raised."""
        small = [work for work in works if isinstance(work, Segment) and work.milliseconds]
        if small:
            batch = Batch(self._store)
            maker = Maker(batch)
            told: list[Event] = []
            for segment in small:
                self._carry_out(maker, segment, told.append)
            try:
                batch.flush()
            except Exception as error:  # nothing of the batch is made
                told = [_failed(segment, work_id(segment), 0, error) for segment in small]
            for event in told:  # only now is it true that these are made
                if not isinstance(event, Progress):
                    tell(event)
        for work in works:
            if work not in small:
                self._carry_out(self._maker, work, tell)

    def _carry_out(self, maker: Maker, work: Work, tell: Tell) -> None:
        started = time.perf_counter()
        at, t = work_id(work), 0
        try:
            if isinstance(work, RealOrder):
                maker.make_real_side(work)
            else:
                work = self._begun(work)
                for order in work.orders:
                    at, t = order.generation.key, order.generation.t
                    tell(_make(maker, work, order, tell))
        except Exception as error:  # whatever it is, it fails this segment and no other
            tell(_failed(work, at, t, error))
        else:
            tell(WorkMade(work_id(work), time.perf_counter() - started))
        while maker.artifacts.notes:
            tell(Note(maker.artifacts.notes.pop(0)))

    def _begun(self, segment: Segment) -> Segment:
        """What is left of a segment: another worker may have died over it."""
        if not any(order.spent for order in segment.orders):
            return segment
        return segment.begun(self._store.markers(segment.artifacts()))


def _failed(work: Work, at: str, t: int, error: Exception) -> WorkFailed:
    told = "".join(traceback.format_exception(error))
    damaged = isinstance(error, Missing)
    return WorkFailed(work_id(work), at, t, f"{type(error).__name__}: {error}", told, damaged)


def _make(maker: Maker, segment: Segment, order: Order, tell: Tell) -> GenerationMade:
    started = time.perf_counter()
    key, t = order.generation.key, order.generation.t
    fitted = False

    def watch(phase: str, done: int, total: int) -> None:
        nonlocal fitted
        fitted = fitted or phase == "fit"
        tell(Progress(key, t, phase, done, total))

    numbers = maker.make(
        order, watch, pictures=segment.pictures.get(key, ()), keep_weights=key in segment.kept
    )
    seconds = time.perf_counter() - started
    return GenerationMade(key, fitted, seconds, _size(maker.artifacts, order), numbers)


def _size(artifacts: Artifacts, order: Order) -> int:
    """Bytes that a generation takes in the store, where that is cheap to know."""
    if not isinstance(artifacts, Store):
        return 0
    keys = [("generations", order.generation.key)]
    keys += [("draws", chunk) for draw in order.outputs for chunk in draw.chunk_keys()]
    return sum(marker.size for marker in artifacts.markers(keys).values())
