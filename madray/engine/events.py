"""What workers tell the driver: plain data, so that it travels through Tune as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a worker is with one generation: `phase` is fit, sample or measure."""

    generation: str
    t: int
    phase: str
    done: int
    total: int


@dataclass(frozen=True)
class GenerationMade:
    """A generation and all that was asked of it is in the store."""

    generation: str
    fitted: bool
    seconds: float
    size_bytes: int
    numbers: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class WorkMade:
    """All of a segment, or the real side, is in the store."""

    id: str
    seconds: float


@dataclass(frozen=True)
class WorkFailed:
    """A segment cannot be made.

    Attributes:
        t: the generation that raised; 0 for the real side.
        damaged: whether the store lacked something that it should have had; making a new plan mends that.
    """

    id: str
    generation: str
    t: int
    error: str
    traceback: str
    damaged: bool = False


@dataclass(frozen=True)
class Note:
    """A sentence for the user: damage that was found and is being mended."""

    text: str


Event = Progress | GenerationMade | WorkMade | WorkFailed | Note

_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (Progress, GenerationMade, WorkMade, WorkFailed, Note)
}


def to_json(events: Iterable[Event]) -> str:
    """Events as one text."""
    return json.dumps([{"event": type(event).__name__, **asdict(event)} for event in events])


def from_json(text: str) -> list[Event]:
    """The events of a text.

    >>> from_json(to_json([Note("one")]))
    [Note(text='one')]
    """
    told: list[dict[str, Any]] = json.loads(text)
    return [_KINDS[each.pop("event")](**each) for each in told]
