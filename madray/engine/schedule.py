"""What can be made now: work whose parents are in the store. Plain bookkeeping; knows no Ray."""

from __future__ import annotations

import math
from collections.abc import Sequence

from madray.engine.work import Work, WorkPlan, goes_with_others

BATCH_SECONDS = 2.0
"""How long a batch of small pieces of work should take: long beside the cost of handing it out."""


class Schedule:
    """Hands out work whose parents are made, most descendants first, and fails what a failure makes
    impossible."""

    def __init__(self, plan: WorkPlan, *, workers: int) -> None:
        self.work = {work.id: work for work in plan.work}
        self._workers = max(1, workers)
        self._waits: dict[str, set[str]] = {
            name: set(each.waits_for) & self.work.keys() for name, each in self.work.items()
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
        """The next piece of work, or a batch of small ones; empty where all must wait."""
        if not self._ready:
            return []
        order = sorted(self._ready, key=lambda name: (-self._reach[name], name))
        first = self.work[order[0]]
        taken = order[:1]
        if goes_with_others(first):
            small = [name for name in order if goes_with_others(self.work[name])]
            taken = small[: self._batch(len(small), first.guess_seconds)]
        self._ready -= set(taken)
        self._running |= set(taken)
        return taken

    def made(self, name: str, seconds: float) -> None:
        """A piece of work is in the store; what waited for it alone is ready."""
        if name not in self._running:
            return  # told twice
        self._running.discard(name)
        self.done.add(name)
        if goes_with_others(self.work[name]):
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
        """How much hangs on a piece of work: its own targets; everything of the real side, which has none."""
        work = self.work[name]
        if not work.targets:
            return 1 << 30
        return len(work.targets) + sum(len(self.work[child].targets) for child in self._children[name])

    def _batch(self, ready: int, guess_seconds: float) -> int:
        seconds = guess_seconds if self._seconds is None else self._seconds
        return max(1, min(math.ceil(ready / self._workers), int(BATCH_SECONDS / max(seconds, 1e-4))))


def chains_of(works: Sequence[Work]) -> set[int]:
    """The places of the chains that these pieces of work are part of."""
    return {chain for work in works for chain in work.chains}
