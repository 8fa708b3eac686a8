"""What a store knows of a sweep by name: write-once records, and the rows of finished generations.

`sweeps/<name>/` holds three folders, `records`, `rows` and `failures`. A file in them is named by the time
it was written and the digest of its content, and is never written to again; the newest whole record counts.
`status` and `table` read nothing else.

Small files of rows are put together into larger ones, so that a sweep of days is still read in a moment. The
large one is there before the small ones go: a row may be there twice, and is never missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from madray.errors import BadInput
from madray.parquet import from_parquet, to_parquet
from madray.store import Store
from madray.write_once import WriteOnce

_PARTS = ("records", "rows", "failures")

_TOGETHER = 32
"""So many files of rows become one, and so many of those one again."""


class Effort(NamedTuple):
    """What tells how long something takes.

    Attributes:
        like: digest of the generator and the reference, or of what is calculated: what takes about as long.
        n: size of the training set.
    """

    like: str
    n: int


@dataclass(frozen=True)
class Row:
    """A finished generation of a chain, or a finished calculation.

    Attributes:
        chain: id of the chain.
        t: the generation; 1 for a calculation as a whole.
        key: names the numbers (`ChainPlan.row_key`; a calculation's key).
        generation: key of the generation, or of the calculation, that the numbers are of.
        numbers: what was measured.
        like, n: as an `Effort` has them.
        seconds, size_bytes: what it took; NaN where another run made it and did not say.
    """

    chain: str
    t: int
    key: str
    generation: str
    numbers: Mapping[str, float]
    picture: str
    like: str
    n: int
    seconds: float
    size_bytes: float


@dataclass(frozen=True)
class ChainRecord:
    """What the ledger says of one chain of a sweep: its cell, its seed, its keys.

    A cell of theory with one seed has a record like that of a chain.

    Attributes:
        generations: for each row, the key of the generation, or of the calculation, that it tells of.
        rows: the keys of the rows, from t = 1.
        parameters: its settings, flat, so that runs can be compared side by side.
    """

    id: str
    point: Mapping[str, Any]
    seed: int
    generations: Sequence[str]
    rows: Sequence[str]
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class SweepRecord:
    """A sweep as it was last run.

    Attributes:
        created: when the first record of this name was written, in seconds since 1970.
        text: the sweep file, with overrides applied.
        content: digest of the content of each finite reference, by the digest of its settings.
        columns: names of the measured numbers, in the table's order.
        floors: keys of the measurements of real samples against real samples, by the column's name.
        row: what a row tells of: a generation, which t counts, or a calculation, of which a chain has one.
    """

    name: str
    created: float
    text: str
    content: Mapping[str, str]
    columns: Sequence[str]
    floors: Mapping[str, str]
    chains: Sequence[ChainRecord]
    row: Literal["generation", "calculation"] = "generation"


@dataclass(frozen=True)
class Failure:
    """What could not be made, and why.

    Attributes:
        generation: key of the generation, of the calculation, or of the real side.
        t: the generation; 0 for the others.
    """

    generation: str
    t: int
    chains: Sequence[str]
    error: str
    traceback: str


class Ledger:
    """The records and rows of one sweep."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store
        self._files = WriteOnce(store, f"sweeps/{name}")
        self._record: SweepRecord | None = None  # as it was last written here
        self._mine: list[list[tuple[str, list[Row]]]] = []  # of each size, from single ones on

    @staticmethod
    def names(store: Store) -> list[str]:
        """What a store has a folder of: sweeps, and what is left of some that were removed or damaged."""
        return store.names("sweeps")

    @staticmethod
    def known(store: Store) -> dict[str, SweepRecord]:
        """The sweeps of a store that have a whole record, with the newest of each. The others are passed
        over; `notes` of the store say so."""
        found = {name: Ledger(store, name).find() for name in Ledger.names(store)}
        lost = [name for name, record in found.items() if record is None]
        store.notes += [f"{Ledger(store, name).lack()}; it is passed over" for name in lost]
        return {name: record for name, record in found.items() if record is not None}

    def check_known(self) -> None:
        """Raises: BadInput, if the store has nothing of a sweep of this name."""
        there = self.names(self._store)
        if self.name not in there:
            raise BadInput(
                f"expected the name of a sweep in {self._store.shown}, got {self.name!r}; "
                f"there are: {', '.join(there) or 'none'}"
            )

    def record(self) -> SweepRecord:
        """The newest whole record.

        Raises: BadInput, if the store knows no sweep of this name, or has no whole record of it.
        """
        found = self.find()
        if found is None:
            self.check_known()
            raise BadInput(self.lack())
        return found

    def find(self) -> SweepRecord | None:
        """The newest whole record, or None."""
        data = self._files.newest("records")
        if data is None:
            return None
        told = json.loads(data)
        chains = [ChainRecord(**chain) for chain in told.pop("chains")]
        return SweepRecord(**told, chains=chains)

    def lack(self) -> str:
        """What is wrong with a sweep that has no whole record, and what to do, in a line."""
        found = "a damaged one" if self.has_records() else "none"
        return (
            f"expected a whole record of {self.name} in {self._store.shown}, found {found}; "
            f"run its file again, or madray remove {self.name}"
        )

    def has_records(self) -> bool:
        """Whether there is any record, be it damaged: there is none of a sweep that was removed."""
        return bool(self._files.names("records"))

    def write_record(self, record: SweepRecord) -> None:
        """Write a record, unless the newest one says the same of the sweep, whoever began it when."""
        found = self.find()
        if found is None or found != replace(record, created=found.created):
            self._put_record(record)
        self._record = record

    def rows(self) -> dict[tuple[str, int, str], Row]:
        """All rows ever finished, by chain, t and key."""
        return _by_place(self._files.whole("rows").values())

    def append(self, rows: Sequence[Row]) -> None:
        """Add finished rows. Where the sweep was removed since its record was written here, the record and
        the rows that were added here are written again, so that no rows lie in a store that nobody can read:
        who runs a sweep wants it. A sweep that is removed in the moment between that look and this write is
        found at the next one.
        """
        if rows:
            self._stay_known()
            self._keep(list(rows), size=0)

    def tidy(self) -> None:
        """Put the rows of earlier runs together into one file, where they lie in many."""
        files = self._files.whole("rows")
        if len(files) > _TOGETHER:
            self._write_rows(list(_by_place(files.values()).values()))
            self._files.remove("rows", files)

    def failures(self) -> list[Failure]:
        """The newest failure of each thing that ever failed; it may have been made since."""
        told = [Failure(**json.loads(data)) for data in self._files.whole("failures").values()]
        return list({failure.generation: failure for failure in told}.values())

    def write_failure(self, failure: Failure) -> None:
        """Keep why something could not be made, of a sweep that was removed as `append` does."""
        self._stay_known()
        self._files.write("failures", "json", json.dumps(asdict(failure), ensure_ascii=False).encode())

    def files(self) -> dict[str, bytes]:
        """All that is whole, by path in the store, to be put into another."""
        return {
            self._files.path(part, file): data
            for part in _PARTS
            for file, data in self._files.whole(part).items()
        }

    def damaged(self) -> list[str]:
        """Paths of the files that do not agree with their digest: they are passed over, always."""
        return [
            self._files.path(part, file)
            for part in _PARTS
            for file, data in self._files.read(part, self._files.names(part)).items()
            if data is None
        ]

    def _put_record(self, record: SweepRecord) -> None:
        told = {**vars(record), "chains": [vars(chain) for chain in record.chains]}
        self._files.write_newest("records", "json", json.dumps(told, ensure_ascii=False).encode())

    def _stay_known(self) -> None:
        """Write again what `madray remove` took away meanwhile: one listing, where nothing is to be done."""
        if self._record is None or self.has_records():
            return
        self._put_record(self._record)
        rows = [row for parts in reversed(self._mine) for _, part in parts for row in part]
        self._mine = []
        if rows:
            self._keep(rows, size=0)
        self._store.notes.append(
            f"{self.name} was removed while it ran; its record and the rows of this run were written again, "
            f"and madray resume {self.name} writes those of earlier ones"
        )

    def _keep(self, rows: list[Row], *, size: int) -> None:
        """Write rows; where that makes enough files of a size, one of the next takes their place."""
        if len(self._mine) == size:
            self._mine.append([])
        self._mine[size].append((self._write_rows(rows), rows))
        if len(self._mine[size]) == _TOGETHER:
            parts, self._mine[size] = self._mine[size], []
            self._keep([row for _, part in parts for row in part], size=size + 1)
            self._files.remove("rows", [file for file, _ in parts])

    def _write_rows(self, rows: Sequence[Row]) -> str:
        columns: dict[str, list[Any]] = {
            field.name: [getattr(row, field.name) for row in rows] for field in fields(Row)
        }
        columns["numbers"] = [json.dumps(dict(numbers)) for numbers in columns["numbers"]]
        return self._files.write("rows", "parquet", to_parquet(pa.table(columns)))


def finished(
    record: SweepRecord, rows: Mapping[tuple[str, int, str], Row]
) -> Iterable[tuple[ChainRecord, int, Row]]:
    """The rows of the sweep as it stands, chain by chain, in order of t."""
    for chain in record.chains:
        for t, key in enumerate(chain.rows, start=1):
            row = rows.get((chain.id, t, key))
            if row is not None:
                yield chain, t, row


def _by_place(files: Iterable[bytes]) -> dict[tuple[str, int, str], Row]:
    """The rows of some files by chain, t and key; of two that say the same, the one that knows its time."""
    found: dict[tuple[str, int, str], Row] = {}
    for data in files:
        for row in _rows_of(from_parquet(data)):
            place = (row.chain, row.t, row.key)
            if place not in found or row.seconds == row.seconds:
                found[place] = row
    return found


def _rows_of(table: pa.Table) -> Iterable[Row]:
    """Column by column: a table of a hundred thousand rows is slow to turn into as many mappings."""
    columns = {field.name: table.column(field.name).to_pylist() for field in fields(Row)}
    columns["numbers"] = list(map(json.loads, columns["numbers"]))
    return map(Row, *columns.values())
