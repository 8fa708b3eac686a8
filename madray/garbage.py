"""What lies in a store that no sweep refers to: attempts of killed writers, results of sweeps that were
removed or changed, weights and samples that a finished sweep's `keep` lets go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from madray.artifacts import Marker, StoredFile
from madray.bundles import BUNDLES, bundles_of
from madray.calculations import KIND as THEORY
from madray.engine.needs import UNNAMED, Needed, needs_of_all
from madray.engine.targets import Names
from madray.growth import Pair
from madray.ledger import Ledger
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
    """What may go, or what went.

    Attributes:
        files: all of it, by path.
        whole: artifacts that go with all of their files.
        parts: artifacts that lose files that their markers name, and the names of those that stay.
        loose: paths of files that no marker names, or of sweeps that were removed while they ran.
        before: what was written later than this, in seconds since 1970, is no garbage.
    """

    files: Sequence[StoredFile]
    whole: Sequence[Pair]
    parts: Sequence[tuple[Pair, frozenset[str]]]
    loose: Sequence[str]
    before: float

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size_bytes for file in self.files)


def find_garbage(store: Store, *, older_than_hours: float = 24.0) -> Garbage:
    """What no sweep of a store refers to.

    A sweep refers to what its newest record asks for, and its record and rows name (`madray.engine.needs`).
    While that cannot be told of one in full, no samples, features, measurements, references and bundles of
    anybody's go. Bundles stay whole while any sweep needs some of them. What is passed over, and why, is in
    `notes` of the store.

    Args:
        older_than_hours: files younger than this stay: a sweep that runs right now may be writing them.
    """
    before = time.time() - 3600 * older_than_hours
    wants = _Wants(store)
    found = _Found(before)
    for kind in KINDS:
        by_key: dict[str, list[StoredFile]] = defaultdict(list)
        for file in store.files(kind):
            by_key[file.path.split("/")[1]].append(file)
        wanted = [(kind, key) for key in by_key if wants.some_of((kind, key))]
        markers = store.own_markers(wanted)
        for pair in ((kind, key) for key in by_key.keys() - {key for _, key in wanted}):
            found.unwanted(pair, by_key[pair[1]])
        for pair in wanted:
            found.wanted(pair, by_key[pair[1]], markers.get(pair), wants.names_of(pair))
    for name in Ledger.names(store):
        found.loosen(_left_over(store, name))
    files = sorted(found.files, key=lambda file: file.path)
    return Garbage(
        files, sorted(found.whole), sorted(found.parts, key=lambda part: part[0]), found.loose, before
    )


def collect(store: Store, garbage: Garbage) -> Garbage:
    """Delete garbage: markers first, so that nothing is ever thought whole that is not.

    A sweep may have begun since it was found. So what the sweeps need is asked again, and each artifact is
    looked at once more just before it goes: what is needed by now, or has a file that is young, stays.

    One race remains. A sweep that saw an old artifact of nobody's in the store, and whose record was not
    there yet when it was asked again here, finds it gone when it comes to read it: it then makes it anew.

    Returns: what was deleted.
    """
    wants = _Wants(store)
    whole = [pair for pair in garbage.whole if not wants.some_of(pair)]
    left = [(pair, wants.add_to(names, pair)) for pair, names in garbage.parts]
    parts = [(pair, names) for pair, names in left if names is not None]
    loose = list(_still_loose(store, garbage.loose))
    gone: set[str] = set()
    went: list[Pair] = []
    for pair in whole:
        there = store.files("/".join(pair))
        if all(file.written < garbage.before for file in there):
            store.delete(*pair)
            went.append(pair)
            gone |= {file.path for file in there}
    cut: list[tuple[Pair, frozenset[str]]] = []
    for pair, names in parts:
        there = store.files("/".join(pair))
        spent = [file for file in there if _name_of(file) not in {*names, "done.json"}]
        if all(file.written < garbage.before for file in spent):
            store.drop(*pair, keep=names)
            cut.append((pair, names))
            gone |= {file.path for file in spent}
    for path in loose:
        store.remove_file(path)
    for folder in {
        path.rpartition("/")[0].rpartition("/")[0] for path in loose if path.startswith("sweeps/")
    }:
        if not store.files(folder):
            store.remove_folder(folder)  # else the name would be there for ever, with nothing behind it
    gone |= set(loose)
    files = [file for file in garbage.files if file.path in gone]
    return Garbage(files, went, cut, loose, garbage.before)


class _Wants:
    """What all sweeps of a store want of it now."""

    def __init__(self, store: Store) -> None:
        self._needed: Needed = needs_of_all(store)
        self._bundles = bundles_of(store.markers(self._needed.files).values())
        if not self._needed.is_all:
            store.notes.append(
                f"so long, nothing goes of anybody's {', '.join(sorted(UNNAMED))}: "
                "resume that sweep, or remove it"
            )

    def some_of(self, pair: Pair) -> bool:
        """Whether an artifact, or some of its files, has to stay."""
        unknown = not self._needed.is_all and pair[0] in UNNAMED
        return unknown or pair in self._needed.files or pair in self._bundles

    def names_of(self, pair: Pair) -> Names:
        """Which files of an artifact have to stay that does; None: all."""
        return self._needed.files.get(pair)

    def add_to(self, names: frozenset[str], pair: Pair) -> Names:
        """These files of an artifact and those that have to stay as well."""
        if pair not in self._needed.files:
            return None if self.some_of(pair) else names
        more = self._needed.files[pair]
        return None if more is None else names | more


def _left_over(store: Store, name: str) -> Iterator[StoredFile]:
    """The files in the folder of a sweep that nobody reads. Of one that was removed while it ran that is all;
    one whose records are damaged keeps its rows, and loses nothing."""
    ledger = Ledger(store, name)
    files = store.files(f"sweeps/{name}")
    if not ledger.has_records():
        yield from files
    elif ledger.find() is not None:
        damaged = set(ledger.damaged())
        yield from (file for file in files if file.path in damaged or _name_of(file).startswith("."))


def _still_loose(store: Store, paths: Iterable[str]) -> Iterator[str]:
    """Those of the files that no marker names by now, and that belong to no sweep that has a record again."""
    by_folder: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        kind, key, _ = path.split("/", 2)
        by_folder[kind, key].append(path)
    for (kind, key), inside in by_folder.items():
        if kind == "sweeps":
            now = {file.path for file in _left_over(store, key)}
            yield from (path for path in inside if path in now)
        else:
            marker = store.own_marker(kind, key)
            counts = None if marker is None else f"{kind}/{key}/{marker.attempt}/"
            yield from (path for path in inside if counts is None or not path.startswith(counts))


def _name_of(file: StoredFile) -> str:
    return file.path.rpartition("/")[2]


class _Found:
    """Garbage as it is found."""

    def __init__(self, before: float) -> None:
        self.files: list[StoredFile] = []
        self.whole: list[Pair] = []
        self.parts: list[tuple[Pair, frozenset[str]]] = []
        self.loose: list[str] = []
        self._before = before

    def unwanted(self, pair: Pair, files: Sequence[StoredFile]) -> None:
        """Note an artifact that nobody needs; while some of it is young, someone may be making it."""
        if all(self._is_old(file) for file in files):
            self.whole.append(pair)
            self.files += files

    def wanted(self, pair: Pair, files: Sequence[StoredFile], marker: Marker | None, stay: Names) -> None:
        """Note what is not needed of an artifact that is: other attempts, and files that may go."""
        named = {} if marker is None else {f"{marker.attempt}/{name}": name for name in marker.files}
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
