"""Bundles: many small artifacts in one Parquet file, a row each, for generations of milliseconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import RLock
from typing import Any, Protocol

import pyarrow as pa

from madray.artifacts import Artifacts, Marker, is_file_name
from madray.errors import Damaged, Missing
from madray.keys import digest
from madray.parquet import from_parquet, to_parquet

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("key", pa.string()),
        ("names", pa.list_(pa.string())),
        ("data", pa.list_(pa.binary())),
    ]
)
FILE = "artifacts.parquet"

BUNDLES = "bundles"
"""The folder of a store that they lie in."""

_IN_A_BUNDLE = "bundle:"


def bundles_of(markers: Iterable[Marker]) -> set[tuple[str, str]]:
    """(kind, key) of the bundles that these artifacts stand in.

    >>> bundles_of([Marker("bundle:abc", {}), Marker("0123", {})])
    {('bundles', 'abc')}
    """
    return {
        (BUNDLES, marker.attempt.removeprefix(_IN_A_BUNDLE))
        for marker in markers
        if marker.attempt.startswith(_IN_A_BUNDLE)
    }


class Folder(Artifacts, Protocol):
    """The store, as far as bundles need it."""

    def names(self, folder: str) -> list[str]:
        """What lies in a folder."""


class BundleIndex:
    """Where in a store's bundles each small artifact stands: read once, and again when something is missed.

    It keeps names and places, and of what the bundles hold no more than some bytes.
    """

    def __init__(self, store: Folder, *, room_bytes: int = 256 << 20) -> None:
        self._store = store
        self._room = room_bytes
        self._indexed: set[str] = set()
        self._place: dict[tuple[str, str], tuple[str, int, tuple[str, ...]]] = {}
        self._tables: OrderedDict[str, pa.Table] = OrderedDict()
        self._lock = RLock()

    def marker(self, kind: str, key: str) -> Marker | None:
        """The marker of an artifact in a bundle, written just now perhaps."""
        if kind in ("work", "references", BUNDLES):
            return None  # these never stand in bundles
        known = self.known(kind, key)
        if known is None:
            self.refresh()
            known = self.known(kind, key)
        return known

    def known(self, kind: str, key: str) -> Marker | None:
        """The marker of an artifact in a bundle that was seen before: its attempt is the bundle's name."""
        place = self._place.get((kind, key))
        if place is None:
            return None
        bundle, _, names = place
        return Marker(f"{_IN_A_BUNDLE}{bundle}", dict.fromkeys(names, (0, "")))

    def refresh(self) -> None:
        """Take note of bundles that were written since."""
        with self._lock:
            for bundle in self._store.names(BUNDLES):
                if bundle not in self._indexed:
                    self._index(bundle)

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        """The files of an artifact in a bundle, or of these names."""
        with self._lock:
            if (kind, key) not in self._place:
                raise Missing(f"expected {kind}/{key} in a bundle, found nothing")
            bundle, row, _ = self._place[kind, key]
            told = self._table(bundle).slice(row, 1).to_pylist()[0]
        files = dict(zip(told["names"], told["data"], strict=True))
        return {name: files[name] for name in names or files}

    def forget(self, kind: str, key: str) -> None:
        """Look the artifact up no more."""
        with self._lock:
            self._place.pop((kind, key), None)

    def _index(self, bundle: str) -> None:
        try:
            table = self._table(bundle)
            kinds, keys, named = (table.column(name).to_pylist() for name in ("kind", "key", "names"))
        except Damaged:
            return  # it was noted, and what it held is made again
        except Missing:
            return  # not whole yet: another worker is writing it
        self._indexed.add(bundle)
        for row, (pair, names) in enumerate(zip(zip(kinds, keys, strict=True), named, strict=True)):
            # The same generation may stand in two bundles, and in one of them without its weights.
            fuller = pair not in self._place or len(self._place[pair][2]) < len(names)
            if fuller and all(map(is_file_name, names)):
                self._place[pair] = (bundle, row, tuple(names))

    def _table(self, bundle: str) -> pa.Table:
        if bundle not in self._tables:
            try:
                files = self._store.read(BUNDLES, bundle)
            except Missing:
                for pair in [pair for pair, place in self._place.items() if place[0] == bundle]:
                    del self._place[pair]
                self._indexed.discard(bundle)
                raise
            self._tables[bundle] = from_parquet(files[FILE])
            while len(self._tables) > 1 and sum(each.nbytes for each in self._tables.values()) > self._room:
                self._tables.popitem(last=False)
        self._tables.move_to_end(bundle)
        return self._tables[bundle]


class Batch:
    """Artifacts of a batch of work, held in memory until `flush` writes them as one bundle.

    Reads see what is held first and the store behind it second. What `markers` did not find there is not
    looked for again: nobody else makes what this batch is about to.
    """

    def __init__(self, store: Folder) -> None:
        self.notes: list[str] = store.notes
        self._store = store
        self._held: dict[tuple[str, str], dict[str, bytes]] = {}
        self._absent: set[tuple[str, str]] = set()

    def markers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Marker]:
        pairs = set(wanted)
        found = self._store.markers(pairs)
        self._absent |= pairs - found.keys() - self._held.keys()
        return found

    def has(self, kind: str, key: str, *names: str) -> bool:
        held = self._held.get((kind, key))
        if held is not None and all(name in held for name in names):
            return True
        return (kind, key) not in self._absent and self._store.has(kind, key, *names)

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        held = self._held.get((kind, key))
        if held is None or any(name not in held for name in names):
            return self._store.read(kind, key, *names)
        return {name: held[name] for name in names or held}

    def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        self._held[kind, key] = dict(files)
        self._absent.discard((kind, key))

    def drop(self, kind: str, key: str, *, keep: Iterable[str] = ()) -> None:
        held = self._held.pop((kind, key), None)
        if held is None:
            self._store.drop(kind, key, keep=keep)
            return
        left = {name: held[name] for name in keep if name in held}
        if left:
            self._held[kind, key] = left

    def flush(self) -> None:
        """Write what is held as one bundle; its key is the digest of the names of what it holds."""
        if not self._held:
            return
        pairs = sorted(self._held)
        columns: dict[str, list[Any]] = {
            "kind": [kind for kind, _ in pairs],
            "key": [key for _, key in pairs],
            "names": [list(self._held[pair]) for pair in pairs],
            "data": [list(self._held[pair].values()) for pair in pairs],
        }
        held = [[*pair, *names] for pair, names in zip(pairs, columns["names"], strict=True)]
        self._store.commit(BUNDLES, digest(held), {FILE: to_parquet(pa.table(columns, SCHEMA))})
        self._held.clear()
