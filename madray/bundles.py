"""Bundles: many small artifacts in one Parquet file, a row each, for generations of milliseconds."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from madray.artifacts import Artifacts, Marker
from madray.errors import Damaged, Missing
from madray.keys import digest

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("key", pa.string()),
        ("names", pa.list_(pa.string())),
        ("data", pa.list_(pa.binary())),
    ]
)
FILE = "artifacts.parquet"


class Folder(Artifacts, Protocol):
    """The store, as far as bundles need it."""

    def names(self, folder: str) -> list[str]:
        """What lies in a folder."""


class BundleIndex:
    """Where in a store's bundles each small artifact stands; read once, and again when something is missed."""

    def __init__(self, store: Folder) -> None:
        self._store = store
        self._known: set[str] | None = None
        self._place: dict[tuple[str, str], tuple[str, int]] = {}
        self._tables: dict[str, pa.Table] = {}

    def marker(self, kind: str, key: str) -> Marker | None:
        """The marker of an artifact in a bundle: its attempt is the bundle's name."""
        if kind in ("work", "references", "bundles"):
            return None  # these never stand in bundles
        if (kind, key) not in self._place:
            self._refresh()
        if (kind, key) not in self._place:
            return None
        bundle, row = self._place[kind, key]
        names = self._table(bundle).column("names")[row].as_py()
        return Marker(f"bundle:{bundle}", {name: (0, "") for name in names})

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        """The files of an artifact in a bundle, or of these names."""
        if (kind, key) not in self._place:
            raise Missing(f"expected {kind}/{key} in a bundle, found nothing")
        bundle, row = self._place[kind, key]
        told = self._table(bundle).slice(row, 1).to_pylist()[0]
        files = dict(zip(told["names"], told["data"], strict=True))
        return {name: files[name] for name in names or files}

    def forget(self, kind: str, key: str) -> None:
        """Look the artifact up no more."""
        self._place.pop((kind, key), None)

    def _refresh(self) -> None:
        known = self._known if self._known is not None else set()
        listed = set(self._store.names("bundles"))
        for bundle in sorted(listed - known):
            try:
                table = self._table(bundle)
            except Damaged:
                continue  # it was noted, and what it held is made again
            except Missing:
                continue  # not whole yet: another worker is writing it
            known.add(bundle)
            pairs = zip(table.column("kind").to_pylist(), table.column("key").to_pylist(), strict=True)
            for row, pair in enumerate(pairs):
                self._place[pair] = (bundle, row)
        self._known = known

    def _table(self, bundle: str) -> pa.Table:
        if bundle not in self._tables:
            files = self._store.read("bundles", bundle)
            self._tables[bundle] = pq.read_table(io.BytesIO(files[FILE]))
        return self._tables[bundle]


class Batch:
    """Artifacts of a batch of work, held in memory until `flush` writes them as one bundle.

    Reads see what is held first and the store behind it second.
    """

    def __init__(self, store: Folder) -> None:
        self.notes: list[str] = store.notes
        self._store = store
        self._held: dict[tuple[str, str], dict[str, bytes]] = {}

    def has(self, kind: str, key: str, *names: str) -> bool:
        held = self._held.get((kind, key))
        if held is not None and all(name in held for name in names):
            return True
        return self._store.has(kind, key, *names)

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        held = self._held.get((kind, key))
        if held is None or any(name not in held for name in names):
            return self._store.read(kind, key, *names)
        return {name: held[name] for name in names or held}

    def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        self._held[kind, key] = dict(files)

    def drop(self, kind: str, key: str, *, keep: Iterable[str] = ()) -> None:
        held = self._held.pop((kind, key), None)
        if held is None:
            self._store.drop(kind, key, keep=keep)
            return
        left = {name: held[name] for name in keep if name in held}
        if left:
            self._held[kind, key] = left

    def flush(self) -> None:
        """Write what is held as one bundle; its key is the digest of what it holds."""
        if not self._held:
            return
        pairs = sorted(self._held)
        columns: dict[str, list[Any]] = {
            "kind": [kind for kind, _ in pairs],
            "key": [key for _, key in pairs],
            "names": [list(self._held[pair]) for pair in pairs],
            "data": [list(self._held[pair].values()) for pair in pairs],
        }
        sink = io.BytesIO()
        pq.write_table(pa.table(columns, SCHEMA), sink)
        self._store.commit("bundles", digest([list(pair) for pair in pairs]), {FILE: sink.getvalue()})
        self._held.clear()
