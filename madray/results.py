"""Reading a sweep's results: tables, models, samples, pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from madray.errors import BadInput, Missing
from madray.forest import RECORD, Draw, Source, recorded_as
from madray.generators.protocol import Generator, build_generator, sample
from madray.ledger import ChainRecord, Ledger, SweepRecord
from madray.loops import SyntheticDraw, synthetic_stream
from madray.references import Reference, build_reference
from madray.samples import SampleSet
from madray.spec.reading import Cell, TheoryFile, label, parse_sweep, plain
from madray.store import Store
from madray.streams import EVALUATION, Stream
from madray.table import table
from madray.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def open(store: str | os.PathLike[str]) -> Results:
    """The sweeps in a store, by name: `madray.open("madray-store")["quickstart"].table()`.

    Raises: BadInput, if it is a store of another format.
    """
    opened = Store.open(store)
    opened.check_format()
    return Results(opened)


class Results(Mapping[str, "SweepResults"]):
    """The sweeps of a store, by name."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, name: str) -> SweepResults:
        """Raises: BadInput, if the store knows no sweep of this name."""
        return SweepResults(self._store, name)

    def __contains__(self, name: object) -> bool:
        return name in Ledger.known(self._store)

    def __iter__(self) -> Iterator[str]:
        return iter(Ledger.known(self._store))

    def __len__(self) -> int:
        return len(Ledger.known(self._store))


def floors(store: Store, record: SweepRecord) -> dict[str, float]:
    """What each number is for real samples against other real samples, where it was measured."""
    from madray.chain import read_numbers

    found = {}
    for name, key in record.floors.items():
        try:
            found[name] = read_numbers(store, key)[name]
        except Missing:
            continue
    return found


class SweepResults:
    """One sweep, as far as it has come."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._ledger = Ledger(store, name)
        self.record: SweepRecord = self._ledger.record()
        self.name = name

    def arrow(self) -> pa.Table:
        """A row per cell, seed and generation (or calculation), as an Arrow table."""
        return table(self.record, self._ledger.rows())

    def table(self) -> pd.DataFrame:
        """A row per cell, seed and generation (or calculation), as a pandas data frame."""
        frame: pd.DataFrame = self.arrow().to_pandas()
        return frame

    def floors(self) -> dict[str, float]:
        """What each number is for real samples against other real samples, where it was measured."""
        return floors(self._store, self.record)

    def real(self, cell: Mapping[str, Any] | None = None, n: int | None = None) -> SampleSet:
        """The n_eval real samples that everything measured of a cell is compared with.

        Args:
            n: how many, if not n_eval; the first ones are the same, and those after them are new.

        Raises: BadInput, as `generation`; Missing, if the reference is not in the store.
        """
        found, _ = self._chain(dict(cell or {}), 1, None)
        reference = _read_reference(self._store, found, self.record)
        return reference.draw(n or found.chain.n_eval, EVALUATION)

    def generation(
        self, cell: Mapping[str, Any] | None, t: int, *, seed: int | None = None
    ) -> GenerationResults:
        """Generation t of a cell, for example `generation({"loop": "fresh_data", "lambda": 0.5}, 4)`.

        Args:
            cell: values of grid fields; those that leave more than one cell are refused.
            t: from 1 on.
            seed: the first one where None.

        Raises: BadInput, if no or several cells match, the chain is shorter than t, or all is theory.
        """
        found, chain = self._chain(dict(cell or {}), t, seed)
        return GenerationResults(self._store, found, chain.generations[t - 1], t, chain.seed, self.record)

    def grid(self, cell: Mapping[str, Any] | None, t: int, *, seed: int | None = None) -> bytes:
        """The stored picture of generation t's first samples, as PNG.

        Raises: BadInput, as `generation`; Missing, if there is none: the generation is not made, or its
            samples are neither images nor points in the plane.
        """
        _, chain = self._chain(dict(cell or {}), t, seed)
        row = self._ledger.rows().get((chain.id, t, chain.rows[t - 1]))
        files = self._store.read("pictures", row.picture) if row is not None and row.picture else {}
        if "grid.png" not in files:
            raise Missing(f"expected a picture of generation {t} of {label(chain.point)}, found none")
        return files["grid.png"]

    def _chain(self, wanted: dict[str, Any], t: int, seed: int | None) -> tuple[Cell, ChainRecord]:
        """The one cell that is wanted, and its chain."""
        cells = {plain(dict(cell.point)): cell for cell in self._cells}
        matching = [
            chain
            for chain in self.record.chains
            if all(
                name in chain.point and plain(chain.point[name]) == plain(value)
                for name, value in wanted.items()
            )
            and seed in (None, chain.seed)
        ]
        if len({label(chain.point) for chain in matching}) != 1:
            told = "; ".join(dict.fromkeys(label(chain.point) for chain in matching or self.record.chains))
            raise BadInput(f"expected one cell for {wanted or 'no fields'}, got {len(matching)} of: {told}")
        chain = matching[0]
        if not 1 <= t <= len(chain.generations):
            raise BadInput(f"expected a generation from 1 to {len(chain.generations)}, got {t}")
        return cells[plain(dict(chain.point))], chain

    @cached_property
    def _cells(self) -> Sequence[Cell]:
        """The cells, each a chain. Raises: BadInput, if the sweep is of theory."""
        file = parse_sweep(self.record.text, name=self.name)
        if isinstance(file, TheoryFile):
            raise BadInput(
                f"expected a sweep of chains, got {self.name}, which is of theory and has numbers alone; "
                "try .table()"
            )
        return file.cells


@dataclass(frozen=True)
class GenerationResults:
    """One generation of one chain."""

    store: Store
    cell: Cell
    key: str
    t: int
    seed: int
    record: SweepRecord

    def model(self) -> Generator:
        """The fitted generator. Raises: Missing, if it was not made or not kept."""
        import tempfile

        files = self.store.read("generations", self.key)
        if not files.keys() - {RECORD}:
            raise Missing(f"expected the weights of generation {self.t}, found none; try keep: all")
        generator = build_generator(self.cell.chain.generator)
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            generator.load(Path(folder))
        return generator

    def measured(self, n: int | None = None) -> SampleSet:
        """The samples at the chain's λ that were measured, as they are stored: nothing is sampled.

        Args:
            n: how many of the first ones, at most; all n_eval where None. Only the pieces that hold them are
                read.

        Raises: Missing, if they were not made or not kept.
        """
        chain = self.cell.chain
        wanted = chain.n_eval if n is None else min(n, chain.n_eval)
        # First used, if at all, by the generation after this one.
        part = SyntheticDraw(self.t, wanted, synthetic_stream(self.seed, self.t + 1, self.t))
        draw = Draw(part, (self.key,), float(chain.bias), chain.generator.chunk, chain.labels)
        try:
            tables = [read_table(self.store, "draws", key) for key in draw.chunk_keys()]
        except Missing:
            raise Missing(f"expected the samples of generation {self.t}, found none; try keep: all") from None
        return SampleSet.from_arrow(pa.concat_tables(tables)).head(wanted)

    def sample(self, n: int, *, bias: float | None = None, stream: Stream | None = None) -> SampleSet:
        """n fresh samples at the chain's λ, or another one; the same each time, unless a stream is given."""
        return sample(
            self.model(),
            n,
            chunk=self.cell.chain.generator.chunk,
            bias=self.cell.chain.bias if bias is None else bias,
            stream=stream or Stream.of(self.seed, self.t, "look"),
        )

    def frame(self, n: int, *, bias: float | None = None, stream: Stream | None = None) -> pd.DataFrame:
        """As `sample`, as a data frame: the columns of the Parquet that the vectors came from, else x0, x1, …

        Labels, where there are any, are the column `label`.

        Raises: BadInput, if samples are images; Missing, as `model`.
        """
        import pandas as pd

        samples = self.sample(n, bias=bias, stream=stream)
        if samples.is_image:
            raise BadInput(
                f"expected vectors for a data frame, got images of {samples.shape}; try .sample(n)"
            )
        names = _read_reference(self.store, self.cell, self.record).draw(1, EVALUATION).names()
        frame = pd.DataFrame(samples.flat(), columns=names)
        return frame if samples.labels is None else frame.assign(label=samples.labels)


def _read_reference(store: Store, cell: Cell, record: SweepRecord) -> Reference:
    """P_r of a cell. Raises: Missing, if it is finite and not in the store."""
    settings, samples = cell.chain.reference, None
    content = record.content.get(recorded_as(settings))
    if content is not None:
        samples = SampleSet.from_arrow(read_table(store, "references", Source(settings, content).key))
    return build_reference(settings, samples)
