"""The contract that every generator family keeps, and how one is built and chunks of it are made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from madray.errors import BadInput
from madray.samples import SampleSet
from madray.spec.generators import AnyGenerator
from madray.spec.imported import Imported, load_object
from madray.streams import Stream

State = Mapping[str, NDArray[Any]]
"""What a fit needs to go on: named arrays, and nothing else, so that it is stored without pickles."""


class Checkpoint(Protocol):
    """Where a long fit leaves its state, and finds the newest whole one."""

    def restore(self) -> tuple[int, State] | None:
        """The newest (step, state), or None where there is none."""

    def offer(self, step: int, state: Callable[[], State]) -> None:
        """Called after every step; calls `state` and keeps what it gives when it is time to."""


Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


class NoCheckpoint:
    """For fits that nobody will want to go on with."""

    def restore(self) -> None:
        return None

    def offer(self, step: int, state: Callable[[], State]) -> None:
        return None


NO_CHECKPOINT: Checkpoint = NoCheckpoint()


def no_progress(done: int, total: int) -> None:
    """For fits that nobody watches."""


@runtime_checkable
class Generator(Protocol):
    """A model family G: fit to samples, then sample.

    Laws, kept by `madray.testing.check_generator`:

    - the same stream gives the same result;
    - load(save) samples identically;
    - a fit stopped at any checkpoint and gone on equals one never stopped;
    - λ = 1 is unbiased.
    """

    def fit(self, samples: SampleSet, *, stream: Stream, checkpoint: Checkpoint, progress: Progress) -> None:
        """Train from scratch on these samples. All randomness comes from `stream`, that of step i from
        (stream, i). Collapsed samples (one point, a missing class) are a result, never an error."""

    def sample(self, n: int, *, bias: float, stream: Stream, labels: NDArray[np.int64] | None) -> SampleSet:
        """n samples with sampling bias λ, conditional on `labels` where the model is."""

    @property
    def classes(self) -> int | None:
        """How many classes it was fitted to and samples from; None where it is unconditional."""

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and settings (JSON) into an empty folder."""

    def load(self, folder: Path) -> None:
        """Become what was saved there. The generator was built with the same settings."""


def check_bias(bias: float, *, zero: bool = True) -> None:
    """Refuse a λ outside [0, 1], or outside (0, 1] where `zero` is False.

    Raises: BadInput.
    """
    if not (0 <= bias <= 1 and (zero or bias > 0)):
        raise BadInput(f"expected λ in {'[' if zero else '('}0, 1], got {bias}")


def build_generator(settings: AnyGenerator) -> Generator:
    """A generator that is not fitted yet. Ours take their settings, the user's own take keywords.

    Raises: BadInput, if what was named lacks a part of the contract.
    """
    family = load_object(settings.implementation)
    made: Generator = family(**settings.settings) if isinstance(settings, Imported) else family(settings)
    lacks = [name for name in ("fit", "sample", "save", "load", "classes") if not _has(made, name)]
    if lacks:
        raise BadInput(
            f"expected {settings.implementation} to be a generator, got one without {', '.join(lacks)}, "
            "try madray.testing.check_generator"
        )
    return made


def _has(made: object, name: str) -> bool:
    # Not hasattr: `classes` of a generator that is not fitted yet may raise.
    try:
        inspect.getattr_static(made, name)
    except AttributeError:
        return False
    return True


def sample_chunk(
    generator: Generator,
    index: int,
    *,
    chunk: int,
    bias: float,
    stream: Stream,
    label_shares: NDArray[np.float64] | None = None,
) -> SampleSet:
    """Chunk `index` of a draw, whole: `chunk` samples that depend on nothing but these arguments.

    Args:
        label_shares: of each class, for a conditional generator; uniform where None.
    """
    own = stream.child(index)
    labels = None
    if generator.classes is not None:
        labels = own.child("labels").numpy().choice(generator.classes, size=chunk, p=label_shares)
        labels = labels.astype(np.int64)
    return generator.sample(chunk, bias=bias, stream=own.child("values"), labels=labels)


def sample(generator: Generator, n: int, *, chunk: int, bias: float, stream: Stream) -> SampleSet:
    """n samples, chunk by chunk: fewer of one stream are the beginning of more.

    The last chunk is made whole and cut, since a forward pass changes bits with the size of its batch.
    """
    parts = [
        sample_chunk(generator, index, chunk=chunk, bias=bias, stream=stream)
        for index in range(-(-n // chunk))
    ]
    return SampleSet.concat(parts).head(n)
