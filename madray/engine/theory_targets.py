"""The targets of a sweep of theory: calculations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from madray.artifacts import Artifacts, Marker
from madray.calculations import KIND, CalculationPlan, Calculations
from madray.engine.calculate import read_calculation
from madray.engine.targets import Names, Numbers, Place
from madray.forest import Source
from madray.growth import Pair
from madray.keys import digest
from madray.ledger import ChainRecord, Row
from madray.spec.reading import TheoryCell, label, plain
from madray.spec.theory import RowKind


@dataclass(frozen=True)
class TheoryTargets:
    """Every calculation of a sweep; a row tells of one generation of a calculation, or of all of it."""

    kind: ClassVar[Literal["calculation"]] = "calculation"

    calculations: Calculations

    @property
    def row(self) -> RowKind:
        """What a row tells of, which the kind of theory says: one for all cells."""
        cell, _, _ = self.calculations.cells[0]
        return cell.theory.row

    def chains(self) -> list[ChainRecord]:
        """What the ledger will know of each cell and seed."""
        return [_record(cell, seed, key) for cell, seed, key in self.calculations.cells]

    def columns(self) -> list[str]:
        """Names of all numbers, in the table's order."""
        cell, _, _ = self.calculations.cells[0]
        return list(cell.theory.names)

    def floors(self) -> dict[str, str]:
        """None: nothing is compared with real samples."""
        return {}

    def names(self) -> dict[str, str]:
        """Cell and seed of each calculation."""
        return {key: f"{label(cell.point)}, seed {seed}" for cell, seed, key in self.calculations.cells}

    def artifacts(self) -> Iterable[Pair]:
        """(kind, key) of everything that the finished sweep consists of."""
        return self.calculations.artifacts()

    def stays(self, *, finished: bool) -> Iterator[tuple[Pair, Names]]:
        """All calculations."""
        yield from ((pair, None) for pair in self.artifacts())

    def sources(self) -> Sequence[Source]:
        """None: real samples come from N(0, I)."""
        return []

    def plan(self, markers: Mapping[Pair, Marker]) -> CalculationPlan:
        """What is missing, given the markers of what the store holds."""
        return CalculationPlan.of(self.calculations, markers)

    def rows_of(self, target: str) -> Iterator[Place]:
        """All rows of all cells whose calculation it is."""
        made = self.calculations.made[target]
        for place in sorted(made.chains):
            for t in range(1, made.settings.rows + 1):
                yield place, t

    def needs(self, place: int, t: int) -> Iterator[Pair]:
        """The calculation."""
        _, _, key = self.calculations.cells[place]
        yield KIND, key

    def read(self, artifacts: Artifacts, key: str) -> Numbers:
        """Columns of numbers, by name. Raises: Missing, Damaged."""
        return read_calculation(artifacts, key)

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
        """Row t of a cell's calculation."""
        _, _, key = self.calculations.cells[place]
        effort = self.calculations.made[key].effort
        return Row(
            chain=record.id,
            t=t,
            key=key,
            generation=key,
            numbers={name: column[t - 1] for name, column in read(key).items()},
            picture="",
            like=effort.like,
            n=effort.n,
            seconds=seconds,
            size_bytes=size_bytes,
        )


def _record(cell: TheoryCell, seed: int, key: str) -> ChainRecord:
    point, rows = dict(cell.point), cell.theory.rows
    return ChainRecord(
        id=digest({"calculation": key, "point": point}),
        point=point,
        seed=seed,
        generations=[key] * rows,
        rows=[key] * rows,
        parameters=_parameters(cell, seed),
    )


def _parameters(cell: TheoryCell, seed: int) -> dict[str, str]:
    """Flat parameters, so that runs can be compared side by side: all fields as the file writes them."""
    fields = cell.theory.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: plain(value) for name, value in {**fields, "seed": seed}.items()}
