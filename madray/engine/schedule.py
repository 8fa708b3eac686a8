"""What can be made now: work whose parents are in the store. Plain bookkeeping; knows no Ray."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence

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
        self._small, self._large = _Ready(), _Ready()
        for name, parents in self._waits.items():
            if not parents:
                self._ready(name)
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
        if not self._small and not self._large:
            return []
        if self._large.before(self._small):
            taken = [self._large.pop()]
        else:
            taken = [self._small.pop()]
            more = self._batch(1 + len(self._small), self.work[taken[0]].guess_seconds) - 1
            taken += [self._small.pop() for _ in range(more)]
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
            if not self._waits[child] and child not in self.failed:
                self._ready(child)

    def give_back(self, name: str) -> None:
        """Take back a piece of work whose worker was lost. It goes out again, and alone: where it was what
        killed the worker, the rest of its batch shall not be lost with it."""
        if name in self._running:
            self._running.discard(name)
            self._large.add(name, self._reach[name])

    def fail(self, name: str) -> set[str]:
        """A piece of work cannot be made, and neither can what descends from it; returns all of these."""
        lost, edge = set(), [name]
        while edge:
            each = edge.pop()
            if each not in lost and each not in self.done:
                lost.add(each)
                edge += self._children[each]
        self._running -= lost
        self._small.discard(lost)
        self._large.discard(lost)
        self.failed |= lost
        return lost

    def settled(self, name: str) -> bool:
        """Whether a piece of work is made, or will never be."""
        return name in self.done or name in self.failed

    def in_order(self) -> list[str]:
        """All pieces of work, in the order in which they would go out if all were ready now."""
        return sorted(self.work, key=lambda name: (-self._reach[name], name))

    def _ready(self, name: str) -> None:
        among = self._small if goes_with_others(self.work[name]) else self._large
        among.add(name, self._reach[name])

    def _reach_of(self, name: str) -> int:
        """How much hangs on a piece of work: its own targets; everything of the real side, which has none."""
        work = self.work[name]
        if not work.targets:
            return 1 << 30
        return len(work.targets) + sum(len(self.work[child].targets) for child in self._children[name])

    def _batch(self, ready: int, guess_seconds: float) -> int:
        seconds = guess_seconds if self._seconds is None else self._seconds
        return max(1, min(math.ceil(ready / self._workers), int(BATCH_SECONDS / max(seconds, 1e-4))))


class _Ready:
    """Names of which that is next on which most hangs; each comes in once at most."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._names: set[str] = set()

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str, reach: int) -> None:
        """A name, and how much hangs on it."""
        self._names.add(name)
        heapq.heappush(self._heap, (-reach, name))

    def discard(self, names: Collection[str]) -> None:
        """Forget these."""
        self._names.difference_update(names)

    def before(self, other: _Ready) -> bool:
        """Whether its next name comes before the other's."""
        mine, its = self._next(), other._next()
        return mine is not None and (its is None or mine < its)

    def pop(self) -> str:
        """The next name, which is forgotten. Raises: KeyError, where there is none."""
        if self._next() is None:
            raise KeyError("expected a name, there is none")
        _, name = heapq.heappop(self._heap)
        self._names.remove(name)
        return name

    def _next(self) -> tuple[int, str] | None:
        while self._heap and self._heap[0][1] not in self._names:
            heapq.heappop(self._heap)  # it was discarded
        return self._heap[0] if self._heap else None


def chains_of(works: Sequence[Work]) -> set[int]:
    """The places of the chains that these pieces of work are part of."""
    return {chain for work in works for chain in work.chains}
