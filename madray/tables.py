"""Sample tables by key: Parquet in the store is the truth, and this is how it is read."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import pyarrow as pa

from madray.artifacts import Artifacts
from madray.parquet import from_parquet

FILE = "samples.parquet"


class TableReader(Protocol):
    """Gives the table under a key, from wherever it is nearest."""

    def table(self, kind: str, key: str) -> pa.Table:
        """The samples stored as `<kind>/<key>`. Raises: Missing, Damaged."""


class KeptTables:
    """The last tables up to some bytes, and one at least."""

    def __init__(self, room_bytes: int) -> None:
        self._room = room_bytes
        self._kept: OrderedDict[tuple[str, str], pa.Table] = OrderedDict()
        self._kept_bytes = 0  # not summed each time: a long chain of small models keeps thousands

    def get(self, kind: str, key: str) -> pa.Table | None:
        """The table under a key, if it is kept."""
        if (kind, key) in self._kept:
            self._kept.move_to_end((kind, key))
        return self._kept.get((kind, key))

    def keep(self, kind: str, key: str, table: pa.Table) -> None:
        """Keep a table; the longest unused ones go where there is no room."""
        before = self._kept.pop((kind, key), None)
        self._kept[kind, key] = table
        self._kept_bytes += table.nbytes - (0 if before is None else before.nbytes)
        while len(self._kept) > 1 and self._kept_bytes > self._room:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes


class ReadTables:
    """Reads Parquet from the store, and keeps the last tables up to some bytes."""

    def __init__(self, artifacts: Artifacts, *, room_bytes: int = 256 << 20) -> None:
        self._artifacts = artifacts
        self._kept = KeptTables(room_bytes)

    def table(self, kind: str, key: str) -> pa.Table:
        table = self._kept.get(kind, key)
        if table is None:
            table = read_table(self._artifacts, kind, key)
            self._kept.keep(kind, key, table)
        return table


def read_table(artifacts: Artifacts, kind: str, key: str) -> pa.Table:
    """The table stored as `<kind>/<key>`; its checksum is verified. Raises: Missing, Damaged."""
    return from_parquet(artifacts.read(kind, key)[FILE])
