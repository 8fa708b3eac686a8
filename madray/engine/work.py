"""What there is to do, as the engine sees it: pieces of work, and the plan that they come from."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Protocol

from madray.calculations import Calculation
from madray.forest import RealOrder
from madray.ledger import Effort
from madray.plan import Release, Segment

Work = Segment | RealOrder | Calculation
"""A piece of work: what one worker makes in one go, once what it waits for is there.

Each has an `id`; `waits_for`, ids of others; `targets`, keys that are told as they are made; `chains`, the
places of those it is part of; and `guess_seconds`, how long it may take until that is known, infinite where
it goes out alone.
"""


class WorkPlan(Protocol):
    """What of a sweep is to be made."""

    @property
    def work(self) -> Sequence[Work]:
        """All of it, in pieces."""

    @property
    def releases(self) -> Sequence[Release]:
        """What may go when some of it is made."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""

    def efforts(self, chains: Collection[int]) -> Sequence[Effort]:
        """Of what takes time for any of these chains."""

    @property
    def brief(self) -> str:
        """What the sweep is, in a few words."""

    def told(self) -> str:
        """What the sweep is, and how much of it is missing, in a sentence."""


def goes_with_others(work: Work) -> bool:
    """Whether it may be handed out, and its results stored, together with others."""
    return math.isfinite(work.guess_seconds)
