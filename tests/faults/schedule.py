"""When to strike at what: dealt from a seed, so that a strike that broke something can be made again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

DAMAGE = ("truncated file", "flipped bit")
FIRST = ("driver", "trainer", "node", "MLflow server")
"""With one kind of damage, the five kinds that every five strikes begin with."""
OTHERS = ("worker", "object store", "full disk", "failing store")


@dataclass(frozen=True)
class Planned:
    """One strike to come.

    Attributes:
        moment: when, as a share of the time between a run's first sign of life and its end.
        seed: of every other choice: which process, which file, which bit.
    """

    number: int
    kind: str
    moment: float
    seed: int

    def chance(self) -> random.Random:
        """A fresh source of this strike's choices."""
        return random.Random(self.seed)


def deal(strikes: int, *, seed: int) -> list[Planned]:
    """Strikes in order: each five are of five kinds, each ten of all ten.

    >>> [planned.kind for planned in deal(10, seed=0)] == [planned.kind for planned in deal(20, seed=0)][:10]
    True
    >>> sorted(planned.kind for planned in deal(10, seed=3)) == sorted([*FIRST, *OTHERS, *DAMAGE])
    True
    """
    chance = random.Random(seed)
    return [
        Planned(number, kind, chance.random(), chance.getrandbits(32))
        for number, kind in zip(count(1), islice(_kinds(random.Random(seed + 1)), strikes), strict=False)
    ]


def _kinds(chance: random.Random) -> Iterator[str]:
    while True:
        one, other = chance.sample(DAMAGE, 2)
        for kinds in ([*FIRST, one], [*OTHERS, other]):
            chance.shuffle(kinds)
            yield from kinds
