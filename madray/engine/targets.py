"""What a sweep consists of, as the driver sees it: chains of rows, and the targets that they tell of.

A *target* is what is made and told one by one: a generation of a chain, or a calculation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from madray.artifacts import Artifacts, Marker
from madray.engine.work import WorkPlan
from madray.forest import Source
from madray.growth import Pair
from madray.ledger import ChainRecord, Row

Numbers = Mapping[str, Any]
"""What is stored of numbers under one key, by name."""

Place = tuple[int, int]
"""Where a row stands: the place of its chain, and t."""


Names = frozenset[str] | None
"""Some files of an artifact by name; None: all of them."""


class Targets(Protocol):
    """All that a sweep consists of."""

    @property
    def kind(self) -> Literal["generation", "calculation"]:
        """What a target is called."""

    @property
    def row(self) -> Literal["generation", "calculation"]:
        """What a row tells of (`SweepRecord.row`)."""

    def chains(self) -> list[ChainRecord]:
        """What the ledger will know of each chain."""

    def columns(self) -> list[str]:
        """Names of all numbers, in the table's order."""

    def floors(self) -> dict[str, str]:
        """Keys of the measurements of real samples against real samples, by the column's name."""

    def names(self) -> dict[str, str]:
        """What each target is called, by key."""

    def artifacts(self) -> Iterable[Pair]:
        """(kind, key) of everything that the finished sweep consists of."""

    def stays(self, *, finished: bool) -> Iterable[tuple[Pair, Names]]:
        """(kind, key) of what has to stay in the store, and which files of it: what the sweep consists of,
        and checkpoints on the way to it; of a finished one what its `keep` says."""

    def sources(self) -> Sequence[Source]:
        """Where real samples come from."""

    def plan(self, markers: Mapping[Pair, Marker]) -> WorkPlan:
        """What is missing, given the markers of what the store holds."""

    def rows_of(self, target: str) -> Iterable[Place]:
        """The rows that a target that was made may complete."""

    def needs(self, place: int, t: int) -> Iterable[Pair]:
        """What has to be in the store for a row to be known."""

    def read(self, artifacts: Artifacts, key: str) -> Numbers:
        """What is stored of numbers under a key. Raises: Missing, Damaged."""

    def row_of(
        self,
        record: ChainRecord,
        place: int,
        t: int,
        *,
        read: Callable[[str], Numbers],
        seconds: float,
        size_bytes: float,
    ) -> Row:
        """A row. Raises: Missing, if `read` does not find its numbers."""
