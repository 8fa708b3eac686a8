"""Generations, draws and measurements as data, with the keys that name them.

    draw.key        = digest(source key or keys, n, λ, stream)
    generation.key  = digest(format version, generator settings, [draw keys], stream)
    measurement.key = digest(generation key, λ, n_eval, metric, extractor, real set)

Everything here is known before anything is made. Nothing here holds another object by reference, so a
chain of thousands of generations is as flat as one of two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from madray.keys import FORMAT_VERSION, digest
from madray.loops import Draw as Part
from madray.loops import PoolDraw, RealDraw, SyntheticDraw
from madray.spec.generators import AnyGenerator
from madray.spec.metrics import AnyExtractor, AnyMetric
from madray.spec.references import AnyReference
from madray.streams import EVALUATION, Stream


@dataclass(frozen=True)
class Source:
    """A reference and the digest of its content: where real samples come from."""

    settings: AnyReference
    content: str | None

    @cached_property
    def key(self) -> str:
        """Of a finite reference its content, of an analytic one its settings."""
        return digest({"reference": self.settings.canonical(), "content": self.content})


def recorded_as(settings: AnyReference) -> str:
    """Under which name the record of a sweep keeps the digest of a finite reference's content."""
    return digest(settings.canonical() | {"path": getattr(settings, "path", "")})


@dataclass(frozen=True)
class Draw:
    """A line of a training set: n samples of one source, with one λ and one stream.

    Attributes:
        part: what the loop asked for.
        sources: the reference's key, the generation's, or those of the draws in a pool.
        bias: λ of a synthetic draw, None for real ones and pools.
        chunk: how many samples a stored piece of a synthetic draw has, 0 for the others.
        labels: `uniform` or `empirical`, of a synthetic draw of a conditional generator.
    """

    part: Part
    sources: tuple[str, ...]
    bias: float | None = None
    chunk: int = 0
    labels: str = "uniform"

    @property
    def n(self) -> int:
        """How many samples."""
        return self.part.n

    @property
    def stream(self) -> Stream:
        """Where their randomness comes from."""
        return self.part.stream

    @cached_property
    def key(self) -> str:
        """What names these samples."""
        return digest({**self._made_of(), "n": self.n})

    def chunk_keys(self) -> Iterator[str]:
        """The keys of the stored pieces, the last of them whole. They do not hold n: longer draws go on."""
        yield from self._chunk_keys

    @cached_property
    def _chunk_keys(self) -> tuple[str, ...]:
        made_of = self._made_of()
        return tuple(
            digest({**made_of, "chunk": self.chunk, "index": index})
            for index in range(-(-self.n // self.chunk))
        )

    def _made_of(self) -> dict[str, object]:
        labels = {"labels": self.labels} if self.labels != "uniform" else {}
        return {
            "sources": list(self.sources),
            "lambda": self.bias,
            "stream": list(self.stream.path),
            **labels,
        }


@dataclass(frozen=True)
class Generation:
    """One generator, trained from scratch on the draws with these keys."""

    t: int
    settings: AnyGenerator
    draws: tuple[str, ...]
    stream: Stream

    @cached_property
    def key(self) -> str:
        """What names this fit."""
        return digest(
            {
                "format": FORMAT_VERSION,
                "generator": self.settings.canonical(),
                "draws": list(self.draws),
                "stream": list(self.stream.path),
            }
        )


@dataclass(frozen=True)
class RealSet:
    """The n_eval real samples, and their features, that all generations of a sweep are compared with."""

    source: Source
    n: int
    extractor: AnyExtractor

    stream = EVALUATION

    @cached_property
    def key(self) -> str:
        """What names the features and their statistics."""
        return digest({"source": self.source.key, "n": self.n, "extractor": self.extractor.canonical()})


@dataclass(frozen=True)
class Measurement:
    """One metric of one generation at one λ, or of the real set against itself (its floor).

    Attributes:
        generation: its key; None for the floor.
        evaluation: the samples looked at; None for the floor, and where a metric looks at the model alone.
        real: what they are compared with; None where a metric compares with nothing.
    """

    metric: AnyMetric
    source: Source
    generation: str | None
    evaluation: Draw | None
    real: RealSet | None

    @cached_property
    def key(self) -> str:
        """What names the numbers."""
        evaluation = self.evaluation
        return digest(
            {
                "metric": self.metric.canonical(),
                "generation": self.generation,
                "reference": self.source.key,
                "evaluation": evaluation.key if evaluation is not None else None,
                "real": self.real.key if self.real is not None else None,
            }
        )


@dataclass(frozen=True)
class Order:
    """All that is to be made of one generation, and all that is needed for it.

    Attributes:
        source: where real samples come from.
        training: the draws of its training set.
        pooled: the draws that pools among them are made of.
        outputs: draws from it that others need, measurements among them.
        measurements: what is measured of it.
        picture: the draw whose first samples are shown, or None.
        spent: (kind, key) of weights and samples that nobody needs, or wants to keep, once this is made.
    """

    generation: Generation
    source: Source
    training: tuple[Draw, ...]
    pooled: tuple[Draw, ...]
    outputs: tuple[Draw, ...]
    measurements: tuple[Measurement, ...]
    picture: Draw | None
    spent: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RealOrder:
    """The real side of a sweep's comparisons, and each metric's floor: real samples against others.

    A piece of work, as a `Segment` is: it waits for nothing, and goes out alone.
    """

    waits_for: ClassVar[frozenset[str]] = frozenset()
    chains: ClassVar[frozenset[int]] = frozenset()
    targets: ClassVar[tuple[str, ...]] = ()
    guess_seconds: ClassVar[float] = math.inf

    real: RealSet
    floors: tuple[Measurement, ...]

    @property
    def id(self) -> str:
        """What it is called."""
        return self.real.key


RECORD = "record.json"
"""The file of a generation that always stays; the others are its weights."""


def picture_key(draw: Draw) -> str:
    """What names the picture of the first samples of a draw."""
    return digest({"picture": draw.key})


def resolve(
    part: Part, *, source: Source, made: list[Generation], bias: float, labels: str
) -> tuple[Draw, tuple[Draw, ...]]:
    """The draw that a loop's part stands for in a chain whose generations so far are `made`.

    Returns: the draw, and the draws of its pool (none unless it is a pool).
    """
    if isinstance(part, RealDraw):
        return Draw(part, (source.key,)), ()
    if isinstance(part, SyntheticDraw):
        parent = made[part.tau - 1]
        chosen = bias if part.bias is None else part.bias
        return Draw(part, (parent.key,), float(chosen), parent.settings.chunk, labels), ()
    assert isinstance(part, PoolDraw)
    pool = tuple(resolve(inner, source=source, made=made, bias=bias, labels=labels)[0] for inner in part.pool)
    return Draw(part, tuple(draw.key for draw in pool)), pool
