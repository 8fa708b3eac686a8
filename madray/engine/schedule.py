"""What can be made now: segments whose parents are in the store. Plain bookkeeping; knows no Ray."""

from __future__ import annotations

import math
from collections.abc import Sequence

from madray.forest import RealOrder
from madray.plan import Plan, Segment

Work = Segment | RealOrder

_BATCH_SECONDS = 2.0
"""How long a batch of cells of milliseconds should take: long beside the cost of handing it out."""


def work_id(work: Work) -> str:
    """What a piece of work is called."""
    return work.id if isinstance(work, Segment) else work.real.key


class Schedule:
    """Hands out work whose parents are made, most descendants first, and fails what a failure makes
    impossible."""

    def __init__(self, plan: Plan, *, workers: int) -> None:
        works: list[Work] = [*plan.real, *plan.segments]
        self.work = {work_id(work): work for work in works}
        self._workers = max(1, workers)
        self._waits: dict[str, set[str]] = {
            name: set(each.waits_for) & self.work.keys() if isinstance(each, Segment) else set()
            for name, each in self.work.items()
        }
        self._children: dict[str, set[str]] = {name: set() for name in self.work}
        for name, parents in self._waits.items():
            for parent in parents:
                self._children[parent].add(name)
        self._reach = {name: self._reach_of(name) for name in self.work}
        self._ready = {name for name, parents in self._waits.items() if not parents}
        self._running: set[str] = set()
        self._seconds: float | None = None
        self.done: set[str] = set()
        self.failed: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether nothing will ever be handed out any more."""
        return len(self.done) + len(self.failed) == len(self.work) and not self._running

    @property
    def exhausted(self) -> bool:
        """Whether all that is left is running already."""
        return len(self.done) + len(self.failed) + len(self._running) == len(self.work)

    def take(self) -> list[str]:
        """The next piece of work, or a batch of pieces of milliseconds; empty where all must wait."""
        if not self._ready:
            return []
        order = sorted(self._ready, key=lambda name: (-self._reach[name], name))
        first = self.work[order[0]]
        taken = order[:1]
        if isinstance(first, Segment) and first.milliseconds:
            small = [name for name in order if _is_small(self.work[name])]
            taken = small[: self._batch(len(small))]
        self._ready -= set(taken)
        self._running |= set(taken)
        return taken

    def made(self, name: str, seconds: float) -> None:
        """A piece of work is in the store; what waited for it alone is ready."""
        if name not in self._running:
            return  # told twice
        self._running.discard(name)
        self.done.add(name)
        if _is_small(self.work[name]):
            self._seconds = seconds if self._seconds is None else 0.8 * self._seconds + 0.2 * seconds
        for child in self._children[name]:
            self._waits[child].discard(name)
            if not self._waits[child]:
                self._ready.add(child)

    def fail(self, name: str) -> set[str]:
        """A piece of work cannot be made, and neither can what descends from it; returns all of these."""
        lost, edge = set(), [name]
        while edge:
            each = edge.pop()
            if each not in lost and each not in self.done:
                lost.add(each)
                edge += self._children[each]
        self._running -= lost
        self._ready -= lost
        self.failed |= lost
        return lost

    def _reach_of(self, name: str) -> int:
        """How much hangs on a piece of work: its own generations, and everything of the real side."""
        work = self.work[name]
        if isinstance(work, RealOrder):
            return 1 << 30
        return len(work.orders) + sum(
            len(child.orders)
            for each in self._children[name]
            if isinstance(child := self.work[each], Segment)
        )

    def _batch(self, ready: int) -> int:
        share = math.ceil(ready / self._workers)
        if self._seconds is None:
            return min(share, 8)
        return max(1, min(share, int(_BATCH_SECONDS / max(self._seconds, 1e-4))))


def _is_small(work: Work) -> bool:
    return isinstance(work, Segment) and work.milliseconds


def chains_of(works: Sequence[Work]) -> set[int]:
    """The places of the chains that these pieces of work are part of."""
    return {chain for work in works if isinstance(work, Segment) for chain in work.chains}
