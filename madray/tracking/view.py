"""What stands for what in MLflow: which rows a run has, and what its steps count.

The rows of a chain, or of a simulation, are its generations: they make a run, and the step is the generation.
A calculation with one row makes no curve. There a run stands for a batch (`madray.batches`). The step is the
position along the last field of the grid, whose value, where it is a number, is logged beside the numbers, so
that it can be the x axis.

Of more than a thousand chains nobody looks at the curves one by one, and each run costs MLflow a tenth of a
second: there a run stands for a batch too, and shows the last generation of each of its chains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any, Protocol

from madray.batches import batches, each_alone, last_field, without
from madray.ledger import ChainRecord, Row, SweepRecord
from madray.tracking.runs import State, worst


class View(Protocol):
    """A sweep as MLflow shows it."""

    @property
    def record(self) -> SweepRecord:
        """The sweep; each of its chains has a run."""

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of the ledger, as rows of these chains; t is the step."""

    def states(self, states: Mapping[str, State]) -> dict[str, State]:
        """How those of these chains ended that are told of; others may be another driver's."""


def view_of(record: SweepRecord) -> View:
    """The view that suits what the sweep's rows tell of, and how many chains there are."""
    return ByGeneration(record) if each_alone(record) else InBatches.of(record)


@dataclass(frozen=True)
class ByGeneration:
    """The sweep as the ledger has it."""

    record: SweepRecord

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """The same rows."""
        return list(rows)

    def states(self, states: Mapping[str, State]) -> dict[str, State]:
        """How each chain ended."""
        return {chain.id: states[chain.id] for chain in self.record.chains if chain.id in states}


@dataclass(frozen=True)
class InBatches:
    """The last row of each cell (a calculation has one), put together along the last field of the grid.

    Attributes:
        places: batch and step of each cell and seed, by its id in the ledger.
        last: t of its last row.
        along: the value of the last field there, by its name; nothing where it is no number.
    """

    record: SweepRecord
    places: Mapping[str, tuple[str, int]]
    last: Mapping[str, int]
    along: Mapping[str, Mapping[str, float]]

    @staticmethod
    def of(record: SweepRecord) -> InBatches:
        """The batches of a sweep, in the order of its cells."""
        field = last_field(record)
        chains, places = [], {}
        for batch, members in batches(record).items():
            cells = [record.chains[place] for place in members]
            chains.append(_batch(batch, cells, field))
            places.update({cell.id: (batch, step) for step, cell in enumerate(cells, start=1)})
        along = {
            cell.id: {name: float(cell.point[name]) for name in field if _is_number(cell.point[name])}
            for cell in record.chains
        }
        last = {cell.id: len(cell.rows) for cell in record.chains}
        # A row of a batch is a cell, as a calculation is: its step is no generation.
        return InBatches(replace(record, chains=chains, row="calculation"), places, last, along)

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """The last rows of known cells, each as a step of its batch."""
        return [self._step(row) for row in rows if self.last.get(row.chain) == row.t]

    def states(self, states: Mapping[str, State]) -> dict[str, State]:
        """A batch ended as the worst of its cells."""
        told: dict[str, list[State]] = defaultdict(list)
        for cell, (batch, _) in self.places.items():
            if cell in states:
                told[batch].append(states[cell])
        return {batch: worst(ends) for batch, ends in told.items()}

    def _step(self, row: Row) -> Row:
        batch, step = self.places[row.chain]
        # MLflow would draw infinity, as a boundary may be, as 1.8e308; NaN is a gap in the curve.
        numbers = {name: value if isfinite(value) else nan for name, value in row.numbers.items()}
        return replace(row, chain=batch, t=step, numbers={**self.along[row.chain], **numbers})


def _batch(name: str, cells: Sequence[ChainRecord], last: Sequence[str]) -> ChainRecord:
    """A record that reads like that of a chain whose rows are these cells."""
    first = cells[0]
    return ChainRecord(
        id=name,
        point=without(first.point, last),
        seed=first.seed,
        generations=[cell.generations[-1] for cell in cells],
        rows=[cell.rows[-1] for cell in cells],
        parameters=without(first.parameters, last),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
