"""Content-addressed artifacts on any pyarrow filesystem.

An artifact is a few files under a key: `<kind>/<key>/<attempt>/…`, and `<kind>/<key>/done.json`, written
last, which names the attempt and the SHA-256 of each file. Nothing is renamed (S3 cannot), and `done.json`
is the only file ever replaced. One that does not parse is no marker, a file that does not agree with its
checksum makes the artifact missing, and both are said in `notes`. Two writers of one key write two
attempts; whichever marker lands last counts, and both hold the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyarrow import fs as pafs

from madray.artifacts import Marker
from madray.bundles import BundleIndex
from madray.errors import BadInput, Damaged, Missing
from madray.keys import FORMAT_VERSION


class Store:
    """Artifacts under one root. Cheap to open; safe to use from several processes and threads."""

    def __init__(self, filesystem: pafs.FileSystem, root: str, uri: str) -> None:
        self.uri = uri
        self.notes: list[str] = []
        self._fs = filesystem
        self._root = root.rstrip("/")
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
        try:
            filesystem, root_path = pafs.FileSystem.from_uri(told)
        except (OSError, ValueError) as error:
            raise BadInput(
                f"--store: expected a folder or a URI that pyarrow opens, got {told} ({error})"
            ) from None
        return Store(filesystem, root_path, told)

    @property
    def is_local(self) -> bool:
        """Whether it lies in this machine's file tree."""
        return bool(self._fs.type_name == "local")

    @property
    def folder(self) -> Path | None:
        """The folder of a local store."""
        return Path(self._root) if self.is_local else None

    # Artifacts

    def has(self, kind: str, key: str, *names: str) -> bool:
        marker = self.marker(kind, key)
        return marker is not None and all(name in marker.files for name in names)

    def marker(self, kind: str, key: str) -> Marker | None:
        """The marker of an artifact, or None where there is no whole one."""
        try:
            written = json.loads(self.get(f"{kind}/{key}/done.json"))
            files = {name: (int(size), str(sha)) for name, (size, sha) in written["files"].items()}
            return Marker(str(written["attempt"]), files)
        except FileNotFoundError:
            return self._bundles.marker(kind, key)
        except (ValueError, TypeError, KeyError, AttributeError):
            self._note(f"{kind}/{key}/done.json does not parse; what it marked is made again")
            self.forget(kind, key)
            return None

    def markers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Marker]:
        """The markers of many artifacts at once; those that stand there whole."""
        wanted = list(wanted)
        if self.is_local:
            found = [self.marker(kind, key) for kind, key in wanted]
        else:
            with ThreadPoolExecutor(32) as pool:
                found = list(pool.map(lambda each: self.marker(*each), wanted))
        return {each: marker for each, marker in zip(wanted, found, strict=True) if marker is not None}

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        marker = self.marker(kind, key)
        if marker is None or any(name not in marker.files for name in names):
            raise Missing(f"expected {kind}/{key} in the store, found nothing whole")
        if marker.attempt.startswith("bundle:"):
            return self._bundles.read(kind, key, *names)
        folder = f"{kind}/{key}/{marker.attempt}"
        files = {}
        for name in names or marker.files:
            size, sha = marker.files[name]
            try:
                files[name] = self.get(f"{folder}/{name}")
            except OSError as error:
                raise self._damaged(kind, key, f"{folder}/{name} cannot be read ({error})") from None
            if len(files[name]) != size or _sha256(files[name]) != sha:
                raise self._damaged(kind, key, f"{folder}/{name} does not agree with its checksum")
        return files

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
        self._mark(kind, key, Marker(marker.attempt, left))
        for name in marker.files.keys() - left.keys():
            self._fs.delete_file(self._path(f"{kind}/{key}/{marker.attempt}/{name}"))

    def replace(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        """Commit, then delete the attempt that counted before: for checkpoints, of which one is enough."""
        before = self.marker(kind, key)
        self.commit(kind, key, files)
        if before is not None:
            self._delete_folder(f"{kind}/{key}/{before.attempt}")

    def forget(self, kind: str, key: str) -> None:
        """Take an artifact's marker away, so that it is made again."""
        path = self._path(f"{kind}/{key}/done.json")
        if self._fs.get_file_info(path).type != pafs.FileType.NotFound:
            self._fs.delete_file(path)
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
        infos = self._fs.get_file_info(list(paths.values()))
        for (kind, key, name), info in zip(paths, infos, strict=True):
            if (kind, key) in damaged:
                continue
            size, sha = wanted[kind, key].files[name]
            if info.type != pafs.FileType.File or info.size != size:
                self._damaged(kind, key, f"{kind}/{key}: {name} is not there whole")
                damaged.add((kind, key))
            elif spent + size <= budget_bytes:
                spent += size
                if _sha256(self.get(f"{kind}/{key}/{wanted[kind, key].attempt}/{name}")) != sha:
                    self._damaged(kind, key, f"{kind}/{key}: {name} does not agree with its checksum")
                    damaged.add((kind, key))
        return damaged

    # Files

    def get(self, path: str) -> bytes:
        """The bytes of a file under the root. Raises: FileNotFoundError."""
        with self._fs.open_input_file(self._path(path)) as file:
            return bytes(file.read())

    def put(self, path: str, data: bytes) -> None:
        """Write a file under the root. Raises: BadInput, if that is not allowed."""
        full = self._path(path)
        try:
            if self.is_local:
                os.makedirs(os.path.dirname(full), exist_ok=True)
            with self._fs.open_output_stream(full) as file:
                file.write(data)
        except OSError as error:
            raise BadInput(
                f"--store: expected {self.uri} to be writable, got {error}; try another --store"
            ) from None

    def names(self, folder: str) -> list[str]:
        """What lies in a folder under the root, sorted; nothing where there is no such folder."""
        selector = pafs.FileSelector(self._path(folder), allow_not_found=True)
        return sorted(info.base_name for info in self._fs.get_file_info(selector))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Store.open, (self.uri,))

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _mark(self, kind: str, key: str, marker: Marker) -> None:
        told = {"format": FORMAT_VERSION, "attempt": marker.attempt, "files": marker.files}
        self.put(f"{kind}/{key}/done.json", json.dumps(told).encode())

    def _delete_folder(self, folder: str) -> None:
        if self._fs.get_file_info(self._path(folder)).type != pafs.FileType.NotFound or not self.is_local:
            try:
                self._fs.delete_dir(self._path(folder))
            except FileNotFoundError:
                return  # another worker was first

    def _damaged(self, kind: str, key: str, why: str) -> Damaged:
        self._note(f"{why}; it is made again")
        self.forget(kind, key)
        return Damaged(why)

    def _note(self, note: str) -> None:
        self.notes.append(note)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
