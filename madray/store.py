"""Content-addressed artifacts on any pyarrow filesystem.

An artifact is a few files under a key: `<kind>/<key>/<attempt>/…`, and `<kind>/<key>/done.json`, written
last, which names the attempt and the SHA-256 of each file. `done.json` is the only file ever replaced, and
no file is ever seen half-written: S3 shows an object when it is whole, in a folder a file gets its name when
it is. One that does not parse is no marker, a file that does not agree with its checksum makes the artifact
missing, and both are said in `notes`. Two writers of one key write two attempts; whichever marker lands last
counts, and both hold the same.

Of a shared folder (NFS) this asks two things: renaming within a folder is atomic, and who opens a file after
another machine closed it sees all of it (close-to-open, the default; not `nocto`). A machine that still holds
a name for missing, as NFS may for a minute, makes again what is there already: work is lost, and no result.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pyarrow import fs as pafs

from madray.artifacts import Marker, StoredFile, is_file_name
from madray.bundles import BundleIndex
from madray.errors import BadInput, Damaged, Missing
from madray.filesystems import Answer, Patience
from madray.keys import FORMAT_VERSION
from madray.store_format import CLAIM, claim_of, is_damaged, is_ours

Asked = TypeVar("Asked")

_READERS = 32
"""How many requests are under way at a time where each is a round trip."""

_MANY = 200
"""From this many keys on, one listing of a remote folder is cheaper than a question each."""

_ROUND_TRIP_BYTES = 1 << 20
"""How many bytes could be read in the time that a remote file takes to be opened."""


class Store:
    """Artifacts under one root. Cheap to open; safe to use from several processes and threads."""

    def __init__(
        self,
        filesystem: pafs.FileSystem,
        root: str,
        uri: str,
        *,
        patience: Patience = Patience(),  # noqa: B008  it is frozen
    ) -> None:
        self.uri = uri
        self.notes: list[str] = []
        self._fs = filesystem
        self._root = root.rstrip("/")
        self._patience = patience
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
            shown = without_secret(told)
            raise BadInput(
                f"--store: expected a folder or a URI that pyarrow opens, got {shown} ({error}); "
                "try s3://bucket/folder or gs://bucket/folder"
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

    @property
    def shown(self) -> str:
        """Where it is, as it may be shown to anyone."""
        return without_secret(self.uri)

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

    # Files

    def get(self, path: str) -> bytes:
        """The bytes of a file under the root.

        Raises: FileNotFoundError; BadInput, if the store does not answer.
        """
        full = self._path(path)

        def whole() -> bytes:
            with self._fs.open_input_file(full) as file:
                data, size = bytes(file.read()), file.size()
            if len(data) != size:  # the connection ended early: that is no damage of what is stored
                raise OSError(f"{path}: {len(data)} of {size} bytes came")
            return data

        with self._answering():
            return self._ask(whole)

    def get_all(self, paths: Sequence[str]) -> dict[str, bytes]:
        """The bytes of those of many files that are there, by path; of a remote store many at a time."""

        def found(path: str) -> bytes | None:
            try:
                return self.get(path)
            except FileNotFoundError:
                return None

        read = self._many(found, paths)
        return {path: data for path, data in zip(paths, read, strict=True) if data is not None}

    def put(self, path: str, data: bytes) -> None:
        """Write a file under the root. Raises: BadInput, if that is not allowed."""
        full = self._path(path)

        def send() -> None:
            with self._fs.open_output_stream(full) as file:
                file.write(data)

        try:
            if not self.is_local:
                self._ask(send)
                return
            folder, name = os.path.split(full)
            part = f"{folder}/.{name}.{uuid.uuid4().hex[:16]}"
            os.makedirs(folder, exist_ok=True)
            with open(part, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # else a power cut could leave the name without the bytes
            os.replace(part, full)
        except OSError as error:
            raise BadInput(
                f"--store: expected {self.shown} to be writable, got {error}; try another --store"
            ) from None

    def names(self, folder: str) -> list[str]:
        """What lies in a folder under the root (`""`: in the root), sorted; nothing where there is none."""
        full = self._path(folder) if folder else self._root
        # Google's store has no folders, and pyarrow tells of those alone that were made: ask for all files.
        deep = self._fs.type_name == "gcs"
        inside = (info.path.removeprefix(f"{full}/") for info in self._listed(full, recursive=deep))
        # A name that begins with a dot is that of a file whose writer was killed.
        return sorted({path.partition("/")[0] for path in inside if not path.startswith(".")})

    def files(self, folder: str) -> list[StoredFile]:
        """All files in a folder under the root and in the folders below it, sorted by path, with those that a
        writer left unfinished; none where there is no such folder."""
        found = [
            StoredFile(info.path.removeprefix(f"{self._root}/"), info.size, info.mtime.timestamp())
            for info in self._listed(self._path(folder), recursive=True)
            if info.type == pafs.FileType.File
        ]
        return sorted(found, key=lambda file: file.path)

    def _listed(self, full: str, *, recursive: bool) -> list[pafs.FileInfo]:
        selector = pafs.FileSelector(full, recursive=recursive, allow_not_found=True)
        try:
            with self._answering():
                infos: list[pafs.FileInfo] = self._ask(lambda: self._fs.get_file_info(selector))
        except FileNotFoundError:
            return []
        return infos

    def remove_file(self, path: str) -> None:
        """Take a file under the root away, if it is there, and its folder, if nothing else is in it."""
        with self._answering():
            self._delete_file(path)
        if self.is_local:
            with suppress(OSError):  # something else is in it
                os.rmdir(os.path.dirname(self._path(path)))

    def remove_folder(self, folder: str) -> None:
        """Take a folder under the root away with all that is in it, if it is there."""
        with self._answering():
            self._delete_folder(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Store.open, (self.uri,))

    def _path(self, path: str) -> str:
        """The full path of a file or folder under the root. Raises: BadInput, if it is none."""
        if not all(map(is_file_name, path.split("/"))):
            raise BadInput(
                f"expected the path of something inside {self.shown}, got {path!r}; "
                "a name or a record leads out of the store: do not use what wrote it"
            )
        return f"{self._root}/{path}"

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """What a filesystem answers; one that is far away is asked again."""
        return call() if self.is_local else self._patience.ask(call)

    def _many(self, ask: Callable[[Asked], Answer], each: Sequence[Asked]) -> list[Answer]:
        """The answers to many questions; of a store that is far away many are under way at a time."""
        if self.is_local:
            return list(map(ask, each))
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(ask, each))

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

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(str(error)) from None
        except OSError as error:
            raise BadInput(
                f"--store: expected {self.shown} to answer, got {error}; "
                "try the address, the network and the access keys"
            ) from None

    def _mark(self, kind: str, key: str, marker: Marker) -> None:
        told = {"format": FORMAT_VERSION, "attempt": marker.attempt, "files": marker.files}
        self.put(f"{kind}/{key}/done.json", json.dumps(told).encode())

    def _delete_file(self, path: str) -> None:
        if self.is_local:
            Path(self._path(path)).unlink(missing_ok=True)  # other workers may be first
            return
        full = self._path(path)

        def delete() -> None:
            if self._fs.get_file_info(full).type != pafs.FileType.NotFound:
                self._fs.delete_file(full)

        with self._answering():
            self._ask(delete)

    def _delete_folder(self, folder: str) -> None:
        full = self._path(folder)
        with suppress(FileNotFoundError), self._answering():  # there is none, or another worker was first
            self._ask(lambda: self._fs.delete_dir(full))

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


def without_secret(uri: str) -> str:
    """A URI as it may be shown, without the password in it.

    >>> without_secret("s3://key:secret@bucket/madray")
    's3://key:…@bucket/madray'
    """
    return re.sub(r"(://[^/@:]*):[^/]*@", r"\1:…@", uri)
