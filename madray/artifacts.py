"""What an artifact is: a few files under a key, and a marker that says they are whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Marker:
    """What `done.json` says: which attempt counts, and the size and SHA-256 of each of its files."""

    attempt: str
    files: Mapping[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(size for size, _ in self.files.values())


@dataclass(frozen=True)
class StoredFile:
    """A file of a store.

    Attributes:
        path: from the store's root on.
        written: when, in seconds since 1970, by the clock of whoever keeps it.
    """

    path: str
    size_bytes: int
    written: float


class Artifacts(Protocol):
    """What makes and reads artifacts: the store itself, or a batch that ends up in it as one bundle."""

    notes: list[str]

    def has(self, kind: str, key: str, *names: str) -> bool:
        """Whether a whole artifact stands under this key, with these files in it."""

    def markers(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Marker]:
        """The markers of many artifacts in the store at once; those that stand there whole."""

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        """The files of an artifact, or of these names. Raises: Missing (nothing whole stands there),
        Damaged (checksums disagree; the artifact is forgotten)."""

    def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        """Write the files of an artifact, then its marker."""

    def drop(self, kind: str, key: str, *, keep: Iterable[str] = ()) -> None:
        """Forget all files of an artifact but these, or all of it where none is left."""


_ELSEWHERE = re.compile(r"[/\\\0:]")


def is_file_name(name: object) -> bool:
    """Whether this names a file in a folder, and nothing elsewhere: a stranger's store may say anything.

    >>> is_file_name("record.json"), is_file_name("../../.bashrc")
    (True, False)
    """
    return isinstance(name, str) and name not in ("", ".", "..") and _ELSEWHERE.search(name) is None
