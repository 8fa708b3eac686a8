"""How long what is missing will take, from what the store knows of its like."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from madray.ledger import Effort, Ledger, Row
from madray.store import Store


@dataclass(frozen=True)
class Estimate:
    """What the missing fits, or calculations, will take of one worker.

    Attributes:
        known: how many of them have their like in the store.
        missing: how many there are.
        seconds: of worker's time, the unknown ones taken to be like the average known one; NaN if none is.
        size_bytes: in the store.
    """

    known: int
    missing: int
    seconds: float
    size_bytes: float


def known_rows(store: Store) -> list[Row]:
    """All rows of all sweeps in a store that know what they took."""
    return [
        row
        for name in Ledger.names(store)
        for row in Ledger(store, name).rows().values()
        if not math.isnan(row.seconds)
    ]


def estimate(efforts: Iterable[Effort], rows: Iterable[Row]) -> Estimate:
    """The time and room that what is missing will take.

    A fit is taken to be as long as the median of its like (the same generator settings on the same reference)
    whose training sets are nearest in size; and so is a calculation.

    Args:
        efforts: of each that is missing.
        rows: what the store knows.
    """
    by_like: dict[str, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in {row.generation: row for row in rows}.values():
        by_like[row.like][row.n].append(row)
    wanted = Counter(efforts)
    known, seconds, size_bytes = 0, 0.0, 0.0
    for (name, n), count in wanted.items():
        if sizes := by_like.get(name):
            nearest = sizes[min(sizes, key=lambda size: (abs(size - n), size))]
            known += count
            seconds += count * statistics.median(row.seconds for row in nearest)
            size_bytes += count * statistics.median(row.size_bytes for row in nearest)
    if not known:
        return Estimate(0, wanted.total(), math.nan, math.nan)
    share = wanted.total() / known
    return Estimate(known, wanted.total(), seconds * share, size_bytes * share)
