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


class ReadTables:
    """Reads Parquet from the store, and keeps the last tables up to some bytes."""

    def __init__(self, artifacts: Artifacts, *, room_bytes: int = 256 << 20) -> None:
        self._artifacts = artifacts
        self._room = room_bytes
        self._kept: OrderedDict[tuple[str, str], pa.Table] = OrderedDict()

    def table(self, kind: str, key: str) -> pa.Table:
        if (kind, key) not in self._kept:
            self._kept[kind, key] = read_table(self._artifacts, kind, key)
            while len(self._kept) > 1 and sum(table.nbytes for table in self._kept.values()) > self._room:
                self._kept.popitem(last=False)
        self._kept.move_to_end((kind, key))
        return self._kept[kind, key]


def read_table(artifacts: Artifacts, kind: str, key: str) -> pa.Table:
    """The table stored as `<kind>/<key>`; its checksum is verified. Raises: Missing, Damaged."""
    return from_parquet(artifacts.read(kind, key)[FILE])
