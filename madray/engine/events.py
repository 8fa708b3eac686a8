"""What workers tell the driver: plain data, so that it travels through Tune as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a worker is with one generation (`phase` is fit, sample or measure), or with a calculation.

    Attributes:
        generation: its key, or that of the calculation.
        t: 0 of a calculation.
    """

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

    @property
    def target(self) -> str:
        """Key of what was made."""
        return self.generation


@dataclass(frozen=True)
class CalculationMade:
    """A calculation is in the store.

    Attributes:
        target: its key.
        numbers: by name, one a row.
    """

    target: str
    seconds: float
    numbers: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class WorkMade:
    """All of a piece of work is in the store."""

    id: str
    seconds: float


@dataclass(frozen=True)
class WorkFailed:
    """A piece of work cannot be made.

    Attributes:
        generation: key of the generation that raised, of the calculation, or of the real side.
        t: the generation; 0 for the others.
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


Event = Progress | GenerationMade | CalculationMade | WorkMade | WorkFailed | Note

_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (Progress, GenerationMade, CalculationMade, WorkMade, WorkFailed, Note)
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
