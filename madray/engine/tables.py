"""Sample tables shared by all processes of a cluster: read once, mapped without a copy on each node.

`Tables` is one long-lived actor that maps a key to the object of a plain task, which reads the Parquet. It
holds references only. An object or an actor that is lost, or does not answer for a while, costs a read of the
Parquet and nothing else.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from contextlib import suppress
from typing import Any

import pyarrow as pa
import ray

from madray.errors import Missing
from madray.store import Store
from madray.tables import read_table

_OLD_SECONDS = 600.0
_WAIT_SECONDS = 15.0
"""How long anyone waits for a table. Of a node that was lost Ray may wait for long, or for ever."""


def _read(store: Store, kind: str, key: str) -> pa.Table:
    return read_table(store, kind, key)


def _size(table: pa.Table) -> int:
    return int(table.nbytes)


class Tables:
    """Which object holds which table; forgets what is old, and what is too much."""

    def __init__(self, store: Store, room_bytes: float) -> None:
        self._store = store
        self._room = room_bytes
        self._objects: OrderedDict[tuple[str, str], tuple[Any, Any, float]] = OrderedDict()
        self._sizes: dict[tuple[str, str], int] = {}
        self._reads: Counter[str] = Counter()
        # Reading takes no CPU of the trials' shares: it waits for a disk or a network.
        self._read = ray.remote(num_cpus=0, max_retries=3)(_read)
        self._size = ray.remote(num_cpus=0)(_size)

    def object(self, kind: str, key: str) -> list[Any]:
        """A list of one reference to the table's object; wrapped, so that it is handed on and not fetched."""
        at = (kind, key)
        if at not in self._objects:
            read = self._read.remote(self._store, kind, key)
            self._objects[at] = (read, self._size.remote(read), time.monotonic())
            self._reads[f"{kind}/{key}"] += 1
            self._forget_some()
        read, size, _ = self._objects[at]
        self._objects[at] = (read, size, time.monotonic())
        self._objects.move_to_end(at)
        return [read]

    def forget(self, kind: str, key: str) -> None:
        """Drop a table whose object is gone, or could not be read."""
        self._objects.pop((kind, key), None)
        self._sizes.pop((kind, key), None)

    def reads(self) -> dict[str, int]:
        """How often each table was read."""
        return dict(self._reads)

    def _forget_some(self) -> None:
        sizes = {at: size for at, (_, size, _) in self._objects.items() if at not in self._sizes}
        ready, _ = ray.wait(list(sizes.values()), num_returns=len(sizes), timeout=0) if sizes else ([], [])
        for at, size in sizes.items():
            if size in ready:
                try:
                    self._sizes[at] = ray.get(size, timeout=1)
                except Exception:  # whoever reads the table is told
                    self._sizes[at] = 0
        now = time.monotonic()
        for at, (_, _, used) in list(self._objects.items())[:-1]:
            full = sum(self._sizes.values()) > self._room
            if not full and now - used < _OLD_SECONDS:
                break
            self.forget(*at)


class SharedTables:
    """Reads tables through the cluster's `Tables`, and from the Parquet where that fails."""

    def __init__(self, store: Store, tables: Any) -> None:
        self._store = store
        self._tables = tables

    def table(self, kind: str, key: str) -> pa.Table:
        """The table under a key; see `madray.tables.TableReader`."""
        try:
            [reference] = ray.get(self._tables.object.remote(kind, key), timeout=_WAIT_SECONDS)
            return ray.get(reference, timeout=_WAIT_SECONDS)
        except (Missing, ray.exceptions.RayError) as error:
            with suppress(ray.exceptions.RayError):  # the actor may be gone as well
                self._tables.forget.remote(kind, key)
            if isinstance(error, Missing):
                raise Missing(f"expected {kind}/{key} in the store, found nothing whole") from None
            return read_table(self._store, kind, key)
