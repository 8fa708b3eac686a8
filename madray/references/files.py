"""The files that a data set lies in: where they are, and what is in them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from madray.errors import BadInput


@dataclass(frozen=True)
class File:
    """A file in a folder or in a zip.

    Attributes:
        name: its path below the folder, or in the zip, with slashes; it stands in keys.
        where: the whole of where it lies; it stands in errors.
        open: opens it for reading bytes.
    """

    name: str
    where: str
    open: Callable[[], IO[bytes]]

    @staticmethod
    def at(path: Path, name: str) -> File:
        """The file at this path under this name; unpacked while it is read if it is a gzip."""
        if path.suffix == ".gz":
            return File(name, str(path), lambda: cast(IO[bytes], gzip.open(path, "rb")))
        return File(name, str(path), lambda: path.open("rb"))


def locate(path: str, data: Path | None, what: str) -> Path:
    """Where `path` lies: below `data`, or below the working directory without; an absolute path is itself.

    Raises: BadInput, if nothing is there; `what` says what was to be there.

    >>> locate("faces", Path("nowhere"), "a folder of images")
    Traceback (most recent call last):
    madray.errors.BadInput: expected a folder of images at .../nowhere/faces, got nothing there, try ...
    """
    found = ((data or Path()) / Path(path).expanduser()).absolute()
    if not found.exists():
        raise BadInput(
            f"expected {what} at {found}, got nothing there, "
            "try an absolute path, or --data FOLDER (or MADRAY_DATA=FOLDER) for the folder it lies in"
        )
    return found


def files_below(folder: Path, suffixes: Iterable[str]) -> list[File]:
    """The files below a folder whose names end in one of these, in the order of their paths; none hidden.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.PNG", ".c.png", "d.txt"):
    ...         Path(folder, name).touch()
    ...     [file.name for file in files_below(Path(folder), [".png"])]
    ['a.PNG', 'b.png']
    """
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return [File.at(found[name], name) for name in sorted(found) if is_shown(name, suffixes)]


def is_shown(name: str, suffixes: Iterable[str]) -> bool:
    """Whether a path with slashes ends in one of these suffixes, in any case, and no part of it is hidden.

    >>> is_shown("cats/1.PNG", [".png"]), is_shown("__MACOSX/cats/1.png", [".png"])
    (True, False)
    """
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and parts[-1].lower().endswith(tuple(suffixes))


@contextmanager
def reading(file: File) -> Iterator[IO[bytes]]:
    """The file, open for reading bytes.

    Raises: BadInput, naming the file, if it cannot be read.

    >>> import io
    >>> with reading(File("a", "memory", lambda: io.BytesIO(b"bytes"))) as stream:
    ...     stream.read()
    b'bytes'
    """
    try:
        with file.open() as stream:
            yield stream
    except Exception as error:  # zip and gzip each have errors of their own for what is damaged
        raise BadInput(
            f"expected {file.where} to be readable, got {type(error).__name__}: {error}, "
            "try fetching it again"
        ) from error


def sha256(file: File) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits.

    Raises: BadInput, naming the file, if it cannot be read.

    >>> import io
    >>> sha256(File("empty", "memory", lambda: io.BytesIO()))[:8]
    'e3b0c442'
    """
    with reading(file) as stream:
        # typeshed wants a buffered reader; a zip's and a gzip's are none by name, and work.
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
