"""Files of a store that are written once: named by the time they were written and their content's digest.

One that does not agree with its digest is passed over, and said in the store's `notes`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence

from madray.store import Store

_LOOKS = 5
"""How often a folder is listed because what was listed is gone: somebody put it together with others."""


class WriteOnce:
    """The parts of a folder, each a folder of such files. What one writer writes sorts by when it did."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._last = 0

    def names(self, part: str) -> list[str]:
        """The files of a part, whole or not, in their order."""
        return self._store.names(f"{self._folder}/{part}")

    def path(self, part: str, file: str) -> str:
        """Where a file lies in the store."""
        return f"{self._folder}/{part}/{file}"

    def write(self, part: str, ending: str, data: bytes) -> str:
        """Write a file; returns its name."""
        # Names sort by time, also when two are written within one tick of the clock.
        self._last = max(time.time_ns(), self._last + 1)
        file = f"{self._last:020d}-{_digest(data)}.{ending}"
        self._store.put(self.path(part, file), data)
        return file

    def write_newest(self, part: str, ending: str, data: bytes) -> str:
        """Write a file that sorts behind all others of its part, whichever machine's clock is ahead."""
        self._last = max([self._last, *(int(file[:20]) for file in self.names(part) if _is_stamped(file))])
        return self.write(part, ending, data)

    def newest(self, part: str) -> bytes | None:
        """The newest whole file of a part."""
        for file in reversed(self.names(part)):
            data = self.read(part, [file]).get(file)
            if data is not None:
                return data
        return None

    def whole(self, part: str) -> dict[str, bytes]:
        """The whole files of a part by name, in their order."""
        found: dict[str, bytes | None] = {}
        for _ in range(_LOOKS):
            listed = [file for file in self.names(part) if file not in found]
            read = self.read(part, listed)
            found |= read
            if len(read) == len(listed):
                break
        return {file: data for file in sorted(found) if (data := found[file]) is not None}

    def read(self, part: str, files: Sequence[str]) -> dict[str, bytes | None]:
        """Those of some files that are there, with None for one that does not agree with its digest."""
        read: dict[str, bytes | None] = {}
        for path, data in self._store.get_all([self.path(part, file) for file in files]).items():
            file = path.rpartition("/")[2]
            whole = _digest(data) == file.rpartition(".")[0].rpartition("-")[2]
            read[file] = data if whole else None
            if not whole:
                self._store.notes.append(f"{path} does not agree with its digest; it is passed over")
        return read

    def remove(self, part: str, files: Iterable[str]) -> None:
        """Take files away, as far as they are there."""
        for file in files:
            self._store.remove_file(self.path(part, file))


def _is_stamped(file: str) -> bool:
    return file[:20].isdigit() and file[20:21] == "-"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]
