"""Files under one root, on any pyarrow filesystem: read, written whole, listed and taken away.

None is ever seen half-written: S3 shows an object when it is whole, in a folder a file gets its name
when it is.

Of a shared folder (NFS) this asks two things: renaming within a folder is atomic, and who opens a file after
another machine closed it sees all of it (close-to-open, the default; not `nocto`). A machine that still holds
a name for missing, as NFS may for a minute, makes again what is there already: work is lost, and no result.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pyarrow import fs as pafs

from madray.artifacts import StoredFile, is_file_name
from madray.errors import BadInput
from madray.filesystems import Answer, Patience

Asked = TypeVar("Asked")

_READERS = 32
"""How many requests are under way at a time where each is a round trip."""


class Files:
    """What a store is made of; made through `madray.store.Store` alone."""

    def __init__(self, filesystem: pafs.FileSystem, root: str, uri: str, patience: Patience) -> None:
        self.uri = uri
        self._fs = filesystem
        self._root = root.rstrip("/")
        self._patience = patience

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


def filesystem_of(uri: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem that a URI names, and the root on it.

    Raises: BadInput, if none answers to it.
    """
    try:
        filesystem, root = pafs.FileSystem.from_uri(uri)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"--store: expected a folder or a URI that pyarrow opens, got {without_secret(uri)} ({error}); "
            "try s3://bucket/folder or gs://bucket/folder"
        ) from None
    return filesystem, root


def without_secret(uri: str) -> str:
    """A URI as it may be shown, without the password in it.

    >>> without_secret("s3://key:secret@bucket/madray")
    's3://key:…@bucket/madray'
    """
    return re.sub(r"(://[^/@:]*):[^/]*@", r"\1:…@", uri)
