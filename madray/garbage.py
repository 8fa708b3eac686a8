"""What lies in a store that no sweep refers to: attempts of killed writers, results of sweeps that were
removed or changed, weights and samples that a finished sweep's `keep` lets go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from madray.artifacts import Marker, StoredFile
from madray.bundles import BUNDLES, bundles_of
from madray.calculations import KIND as THEORY
from madray.engine.needs import Needs, merged, needs_of
from madray.ledger import Ledger
from madray.plan import Pair
from madray.store import Store

KINDS = (
    BUNDLES,
    "draws",
    "features",
    "generations",
    "measurements",
    "pictures",
    "references",
    THEORY,
    "work",
)
"""The folders of a store that artifacts lie in. What else lies there, MLflow's files for one, is not ours."""


@dataclass(frozen=True)
class Garbage:
    """What may go.

    Attributes:
        files: all of it, by path.
        whole: artifacts that go with all of their files.
        parts: artifacts that lose files that their markers name, and the names of those that stay.
        loose: paths of files that no marker names.
    """

    files: Sequence[StoredFile]
    whole: Sequence[Pair]
    parts: Sequence[tuple[Pair, frozenset[str]]]
    loose: Sequence[str]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size_bytes for file in self.files)


def find_garbage(store: Store, *, older_than_hours: float = 24.0) -> Garbage:
    """What no sweep of a store refers to.

    A sweep refers to what its newest record asks for. Bundles stay whole while any sweep needs some of them.

    Args:
        older_than_hours: files younger than this stay: a sweep that runs right now may be writing them.

    Raises: BadInput, if the file of a sweep cannot be read any more, so that nobody knows what it needs.
    """
    names = Ledger.names(store)
    needs = merged(needs_of(store, name) for name in names)
    before = time.time() - 3600 * older_than_hours
    found = _Found(needs, before)
    used = bundles_of(store.markers(needs).values())
    for kind in KINDS:
        by_key: dict[str, list[StoredFile]] = defaultdict(list)
        for file in store.files(kind):
            by_key[file.path.split("/")[1]].append(file)
        wanted = [(kind, key) for key in by_key if (kind, key) in needs or (kind, key) in used]
        markers = store.own_markers(wanted)
        for pair in ((kind, key) for key in by_key.keys() - {key for _, key in wanted}):
            found.unwanted(pair, by_key[pair[1]])
        for pair in wanted:
            found.wanted(pair, by_key[pair[1]], markers.get(pair))
    for name in names:
        damaged = set(Ledger(store, name).damaged())
        found.loosen(
            file
            for file in store.files(f"sweeps/{name}")
            if file.path in damaged or file.path.rpartition("/")[2].startswith(".")
        )
    files = sorted(found.files, key=lambda file: file.path)
    return Garbage(files, sorted(found.whole), sorted(found.parts, key=lambda part: part[0]), found.loose)


def collect(store: Store, garbage: Garbage) -> None:
    """Delete garbage: markers first, so that nothing is ever thought whole that is not."""
    for kind, key in garbage.whole:
        store.delete(kind, key)
    for (kind, key), names in garbage.parts:
        store.drop(kind, key, keep=names)
    for path in garbage.loose:
        store.remove_file(path)


class _Found:
    """Garbage as it is found."""

    def __init__(self, needs: Needs, before: float) -> None:
        self.files: list[StoredFile] = []
        self.whole: list[Pair] = []
        self.parts: list[tuple[Pair, frozenset[str]]] = []
        self.loose: list[str] = []
        self._needs = needs
        self._before = before

    def unwanted(self, pair: Pair, files: Sequence[StoredFile]) -> None:
        """Note an artifact that nobody needs; while some of it is young, someone may be making it."""
        if all(self._is_old(file) for file in files):
            self.whole.append(pair)
            self.files += files

    def wanted(self, pair: Pair, files: Sequence[StoredFile], marker: Marker | None) -> None:
        """Note what is not needed of an artifact that is: other attempts, and files that may go."""
        named = {} if marker is None else {f"{marker.attempt}/{name}": name for name in marker.files}
        stay = self._needs.get(pair)
        spent = []
        for file in files:
            path = file.path.split("/", 2)[2]
            if path not in named and path != "done.json":
                self.loosen([file])
            elif stay is not None and path in named and named[path] not in stay:
                spent.append(file)
        if stay is not None and spent and all(self._is_old(file) for file in spent):
            self.parts.append((pair, stay))
            self.files += spent

    def loosen(self, files: Iterable[StoredFile]) -> None:
        """Note files that no marker names."""
        old = [file for file in files if self._is_old(file)]
        self.loose += [file.path for file in old]
        self.files += old

    def _is_old(self, file: StoredFile) -> bool:
        return file.written < self._before
