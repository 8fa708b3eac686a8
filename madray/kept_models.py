"""Models that were fitted: their weights and records in the store, and the last few of them in memory."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from madray.artifacts import Artifacts
from madray.errors import BadInput, Missing
from madray.forest import RECORD, Generation
from madray.generators.protocol import Generator, build_generator
from madray.samples import SampleSet
from madray.spec.generators import AnyGenerator

_AT_HAND = 4
"""How many models stay in memory."""


class KeptModels:
    """The models of generations, by their keys."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._folder: Path | None = None
        self._generators: OrderedDict[str, Generator] = OrderedDict()

    def at_hand(self, key: str) -> bool:
        """Whether it is in memory."""
        return key in self._generators

    def weights(self, key: str) -> dict[str, bytes]:
        """The files of its weights; none where they are not in the store."""
        try:
            files = self._artifacts.read("generations", key)
        except Missing:
            return {}
        return {name: data for name, data in files.items() if name != RECORD}

    def record(self, key: str) -> dict[str, Any]:
        """What `record_of` told when it was fitted. Raises: Missing, Damaged."""
        record: dict[str, Any] = json.loads(self._artifacts.read("generations", key, RECORD)[RECORD])
        return record

    def load(self, key: str, settings: AnyGenerator) -> Generator:
        """The model, from memory or from its weights. Raises: Missing, where there are none."""
        if key not in self._generators:
            weights = self.weights(key)
            if not weights:
                raise Missing(f"expected the weights of generation {key} in the store, found none")
            generator = build_generator(settings)
            with tempfile.TemporaryDirectory() as folder:
                for name, data in weights.items():
                    (Path(folder) / name).write_bytes(data)
                generator.load(Path(folder))
            self._remember(key, generator)
        self._generators.move_to_end(key)
        return self._generators[key]

    def commit(self, generation: Generation, generator: Generator, record: dict[str, Any]) -> None:
        """Put a fitted model into the store, with its record; it stays at hand.

        Raises: BadInput, if it saves nothing, or in a file that is not its own.
        """
        with self._empty_folder(generation.settings) as folder:
            generator.save(folder)
            files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        if not files or RECORD in files:
            family = generation.settings.implementation
            raise BadInput(
                f"expected {family} to save its weights in files, none of them {RECORD}, got {sorted(files)}"
            )
        files[RECORD] = json.dumps(record).encode()
        self._artifacts.commit("generations", generation.key, files)
        self._remember(generation.key, generator)

    def forget(self, key: str) -> None:
        """Give up its place in memory."""
        self._generators.pop(key, None)

    def _remember(self, key: str, generator: Generator) -> None:
        self._generators[key] = generator
        while len(self._generators) > _AT_HAND:
            self._generators.popitem(last=False)

    @contextmanager
    def _empty_folder(self, settings: AnyGenerator) -> Iterator[Path]:
        """A folder for weights. Models of milliseconds take turns with one: beside their fits it is dear to
        make a folder and to take it away."""
        if not settings.milliseconds:
            with tempfile.TemporaryDirectory() as made:
                yield Path(made)
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp())
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        try:
            yield self._folder
        finally:
            for path in self._folder.iterdir():
                path.unlink()


def record_of(
    generation: Generation, samples: SampleSet, generator: Generator, *, seconds: float
) -> dict[str, Any]:
    """What is worth knowing of a fit, for people, estimates and empirical labels; no key depends on it."""
    import madray

    return {
        "key": generation.key,
        "t": generation.t,
        "generator": generation.settings.canonical(),
        "draws": list(generation.draws),
        "stream": generation.stream.name,
        "n": len(samples),
        "label_counts": samples.label_counts(),
        "fit_seconds": round(seconds, 3),
        "device": str(getattr(generator, "device", "cpu")),
        "versions": {
            "madray": madray.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
