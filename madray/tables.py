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
        self._kept_bytes = 0  # not summed each time: a long chain of small models keeps thousands

    def table(self, kind: str, key: str) -> pa.Table:
        if (kind, key) not in self._kept:
            table = self._kept[kind, key] = read_table(self._artifacts, kind, key)
            self._kept_bytes += table.nbytes
            while len(self._kept) > 1 and self._kept_bytes > self._room:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end((kind, key))
        return self._kept[kind, key]


def read_table(artifacts: Artifacts, kind: str, key: str) -> pa.Table:
    """The table stored as `<kind>/<key>`; its checksum is verified. Raises: Missing, Damaged."""
    return from_parquet(artifacts.read(kind, key)[FILE])
