"""Named random streams: (seed, generation, role) → a random generator.

A stream is a name, not a state. The same name gives the same numbers in any process, in any order
of work, so a chain does not depend on who made which part of it. Streams carry no cell in their
name: cells of one seed see common random numbers, and differences between them have a small
variance.
"""

from __future__ import annotations

import hashlib
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Stream:
    """A name in a tree of random streams.

    >>> a = Stream.of(0, 1, "real")
    >>> a.name
    '0/1/real'
    >>> bool((a.numpy().random(3) == Stream.of(0, 1, "real").numpy().random(3)).all())
    True
    >>> bool((a.numpy().random(3) == a.child("chunk", 0).numpy().random(3)).any())
    False
    """

    path: tuple[str | int, ...]

    @staticmethod
    def of(*path: str | int) -> Stream:
        """The stream of this name; parts are integers or strings without a slash."""
        for part in path:
            if isinstance(part, str) and "/" in part:
                raise ValueError(f"expected a part of a stream's name without '/', got {part!r}")
        # NumPy's integers are integers: the streams (1,) and (np.int64(1),) are one.
        return Stream(tuple(part if isinstance(part, str) else operator.index(part) for part in path))

    def child(self, *path: str | int) -> Stream:
        """A stream below this one, independent of it and of its other children."""
        return Stream.of(*self.path, *path)

    @property
    def name(self) -> str:
        """The whole name, as it stands in keys and in records."""
        return "/".join(str(part) for part in self.path)

    def numpy(self) -> np.random.Generator:
        """A NumPy generator at the beginning of this stream (SFC64, seeded with the name's SHA-256)."""
        words = np.frombuffer(self._digest(), dtype="<u4")
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(words.tolist())))

    def torch(self, device: torch.device | str = "cpu") -> torch.Generator:
        """A torch generator at the beginning of this stream, on the device given."""
        import torch

        generator = torch.Generator(device=device)
        generator.manual_seed(int.from_bytes(self._digest()[:8], "little", signed=True))
        return generator

    def integer(self) -> int:
        """One seed of 31 bits, for libraries that take no generator."""
        return int.from_bytes(self._digest()[:4], "little") & 0x7FFFFFFF

    def _digest(self) -> bytes:
        # The type of a part is in what is hashed: the streams (1,) and ("1",) differ.
        told = "/".join(f"{type(part).__name__}:{part}" for part in self.path)
        return hashlib.sha256(told.encode()).digest()


EVALUATION = Stream.of("evaluation")
"""The stream of the n_eval real samples that everything measured is compared with."""
