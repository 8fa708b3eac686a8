"""Content-addressed artifacts on any pyarrow filesystem.

An artifact is a few files under a key: `<kind>/<key>/<attempt>/…`, and `<kind>/<key>/done.json`, written
last, which names the attempt and the SHA-256 of each file. `done.json` is the only file ever replaced, and
none is ever seen half-written. One that does not parse is no marker, a file that does not agree with its
checksum makes the artifact missing, and both are said in `notes`. Two writers of one key write two attempts;
whichever marker lands last counts, and both hold the same. What a shared folder has to promise stands in
`madray.files`.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyarrow import fs as pafs

from madray.artifacts import Marker, is_file_name
from madray.bundles import BundleIndex
from madray.errors import BadInput, Damaged, Missing
from madray.files import Files, filesystem_of
from madray.filesystems import Patience
from madray.keys import FORMAT_VERSION
from madray.store_format import CLAIM, claim_of, is_damaged, is_ours

_MANY = 200
"""From this many keys on, one listing of a remote folder is cheaper than a question each."""

_ROUND_TRIP_BYTES = 1 << 20
"""How many bytes could be read in the time that a remote file takes to be opened."""


class Store(Files):
    """Artifacts under one root. Cheap to open; safe to use from several processes and threads."""

    def __init__(
        self,
        filesystem: pafs.FileSystem,
        root: str,
        uri: str,
        *,
        patience: Patience = Patience(),  # noqa: B008  it is frozen
    ) -> None:
        super().__init__(filesystem, root, uri, patience)
        self.notes: list[str] = []
        self._bundles = BundleIndex(self)

    @staticmethod
    def open(uri: str | os.PathLike[str]) -> Store:
        """The store at a folder or a URI (`s3://bucket/folder`, `gs://…`, `file:///…`).

        Raises: BadInput, if no filesystem answers to it.
        """
        told = os.fspath(uri)
        if "://" not in told:
            root = Path(told).expanduser().absolute()
            return Store(pafs.LocalFileSystem(), root.as_posix(), str(root))
        return Store(*filesystem_of(told), told)

    def claim(self) -> None:
        """Make sure that this is, or can become, a store of ours that can be written.

        Raises: BadInput, if it cannot be written, or was written in another format.
        """
        found = self.check_format()
        if found is None:
            self.put(CLAIM, claim_of())
            return
        if is_damaged(found):
            self._note(f"{CLAIM} was damaged; it is written again")
            self.put(CLAIM, claim_of())
        if self.is_local and not os.access(self._root, os.W_OK):
            raise BadInput(
                f"--store: expected {self.shown} to be writable, got a read-only folder; try another --store"
            )

    def check_format(self) -> bytes | None:
        """Make sure that this is not a store of another format: what lies in one means something else. A
        folder that is no store yet passes, and so does one whose claim is damaged. Writes nothing.

        Returns: the claim as it stands there, or None where there is none.

        Raises: BadInput, if it was written in another format, or does not answer.
        """
        try:
            found = self.get(CLAIM)
        except OSError:
            return None
        if not is_ours(found) and not is_damaged(found):
            raise BadInput(
                f"--store: expected a store of format {FORMAT_VERSION} in {self.shown}, "
                f"got {found[:60].decode(errors='replace')}; try another --store"
            )
        return found

    # Artifacts

    def has(self, kind: str, key: str, *names: str) -> bool:
        marker = self.marker(kind, key)
        return marker is not None and all(name in marker.files for name in names)

    def marker(self, kind: str, key: str) -> Marker | None:
        """The marker of an artifact, or None where there is no whole one."""
        return self.own_marker(kind, key) or self._bundles.marker(kind, key)

    def markers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Marker]:
        """The markers of many artifacts at once; those that stand there whole."""
        self._bundles.refresh()
        found = {}
        rest = []
        for kind, key in dict.fromkeys(wanted):
            marker = self._bundles.known(kind, key)
            if marker is None:
                rest.append((kind, key))
            else:
                found[kind, key] = marker
        return found | self.own_markers(rest if self.is_local else self._there(rest))

    def own_markers(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Marker]:
        """The markers of many artifacts that lie in folders of their own; of those that stand there whole."""
        own = self._many(lambda each: self.own_marker(*each), wanted)
        return {each: marker for each, marker in zip(wanted, own, strict=True) if marker is not None}

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        marker = self.marker(kind, key)
        while True:
            if marker is None or any(name not in marker.files for name in names):
                raise Missing(f"expected {kind}/{key} in the store, found nothing whole")
            if marker.attempt.startswith("bundle:"):
                return self._bundles.read(kind, key, *names)
            files, fault = self._read(f"{kind}/{key}/{marker.attempt}", marker, names)
            if fault is None:
                return files
            before, marker = marker, self.marker(kind, key)
            if marker == before:
                raise self._damaged(kind, key, fault)
            # Not damaged: another worker replaced or dropped what was being read, and said so in the marker.

    def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        attempt = uuid.uuid4().hex[:16]
        for name, data in files.items():
            self.put(f"{kind}/{key}/{attempt}/{name}", data)
        self._mark(
            kind, key, Marker(attempt, {name: (len(data), _sha256(data)) for name, data in files.items()})
        )

    def drop(self, kind: str, key: str, *, keep: Iterable[str] = ()) -> None:
        marker = self.marker(kind, key)
        if marker is None or marker.attempt.startswith("bundle:"):
            return  # what a bundle holds is small, and goes with the bundle
        left = {name: marker.files[name] for name in keep if name in marker.files}
        if not left:
            self.delete(kind, key)
            return
        if left == marker.files:
            return
        self._mark(kind, key, Marker(marker.attempt, left))
        for name in marker.files.keys() - left.keys():
            self._delete_file(f"{kind}/{key}/{marker.attempt}/{name}")

    def replace(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        """Commit, then delete the attempt that counted before: for checkpoints, of which one is enough."""
        before = self.marker(kind, key)
        self.commit(kind, key, files)
        if before is not None:
            self._delete_folder(f"{kind}/{key}/{before.attempt}")

    def forget(self, kind: str, key: str) -> None:
        """Take an artifact's marker away, so that it is made again."""
        self._delete_file(f"{kind}/{key}/done.json")
        self._bundles.forget(kind, key)

    def delete(self, kind: str, key: str) -> None:
        """Take an artifact away, marker first."""
        self.forget(kind, key)
        self._delete_folder(f"{kind}/{key}")

    def check(self, wanted: Mapping[tuple[str, str], Marker], budget_bytes: int) -> set[tuple[str, str]]:
        """Which of these artifacts are damaged: all by size, the first `budget_bytes` of them by checksum.

        What is damaged is noted and forgotten; what lies beyond the budget is checked when it is read.
        """
        damaged, spent = set(), 0
        paths = {
            (kind, key, name): self._path(f"{kind}/{key}/{marker.attempt}/{name}")
            for (kind, key), marker in wanted.items()
            if not marker.attempt.startswith("bundle:")
            for name in marker.files
        }
        with self._answering():
            infos = self._ask(lambda: self._fs.get_file_info(list(paths.values())))
        for (kind, key, name), info in zip(paths, infos, strict=True):
            if (kind, key) in damaged:
                continue
            size, _ = wanted[kind, key].files[name]
            if info.type != pafs.FileType.File or info.size != size:
                self._damaged(kind, key, f"{kind}/{key}: {name} is not there whole")
                damaged.add((kind, key))
                continue
            cost = size if self.is_local else max(size, _ROUND_TRIP_BYTES)
            if spent + cost <= budget_bytes:
                spent += cost
                try:
                    self.read(kind, key, name)
                except Missing:
                    damaged.add((kind, key))
        return damaged

    def __reduce__(self) -> tuple[Any, ...]:
        return (Store.open, (self.uri,))

    def own_marker(self, kind: str, key: str) -> Marker | None:
        """The marker of an artifact that lies in a folder of its own, and not in a bundle."""
        if self.is_local:
            try:
                os.stat(self._path(f"{kind}/{key}/done.json"))
            except FileNotFoundError:
                return None  # as most that are asked for in bulk: to ask is quicker than to open
            except OSError:
                pass  # what reads it says what is wrong
        before = None
        while True:
            try:
                written = self.get(f"{kind}/{key}/done.json")
            except FileNotFoundError:
                return None
            marker = _parsed(written)
            if marker is not None:
                return marker
            if written == before:
                break
            # Object stores tell size and content one after the other: it may have been replaced in between.
            before = written
        self._note(f"{kind}/{key}/done.json does not parse; what it marked is made again")
        self.forget(kind, key)
        return None

    def _there(self, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those of them that may have a folder."""
        counts = Counter(kind for kind, _ in wanted)
        listed = {kind: set(self.names(kind)) for kind, count in counts.items() if count >= _MANY}
        return [(kind, key) for kind, key in wanted if kind not in listed or key in listed[kind]]

    def _read(self, folder: str, marker: Marker, names: Iterable[str]) -> tuple[dict[str, bytes], str | None]:
        """The files of an attempt, and what is wrong with them, if anything is."""
        files = {}
        for name in names or marker.files:
            size, sha = marker.files[name]
            try:
                files[name] = self.get(f"{folder}/{name}")
            except FileNotFoundError:
                return {}, f"{folder}/{name} is not there"
            except BadInput as error:
                if not self.is_local:
                    raise  # the network is down: that is no damage
                return {}, f"{folder}/{name} cannot be read ({error})"
            if len(files[name]) != size or _sha256(files[name]) != sha:
                return {}, f"{folder}/{name} does not agree with its checksum"
        return files, None

    def _mark(self, kind: str, key: str, marker: Marker) -> None:
        told = {"format": FORMAT_VERSION, "attempt": marker.attempt, "files": marker.files}
        self.put(f"{kind}/{key}/done.json", json.dumps(told).encode())

    def _damaged(self, kind: str, key: str, why: str) -> Damaged:
        self._note(f"{why}; it is made again")
        self.forget(kind, key)
        return Damaged(why)

    def _note(self, note: str) -> None:
        self.notes.append(note)


def _parsed(written: bytes) -> Marker | None:
    try:
        told = json.loads(written)
        attempt = str(told["attempt"])
        files = {name: (int(size), str(sha)) for name, (size, sha) in told["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        return None
    return Marker(attempt, files) if attempt.isalnum() and all(map(is_file_name, files)) else None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
