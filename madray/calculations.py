"""Sweep of theory → calculations → keys → what is missing. No torch, no Ray.

A calculation is a pure function of its settings and its seed, so that its key is known before anything runs.
It depends on no other: what is missing is made in any order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from madray.artifacts import Marker
from madray.keys import FORMAT_VERSION, digest
from madray.ledger import Effort
from madray.spec.reading import TheoryCell
from madray.spec.theory import AnyTheory

KIND = "theory"
"""The folder of the store that calculations lie in."""


@dataclass(frozen=True)
class Calculation:
    """Theory with one seed: a piece of work, and what is stored under its key.

    Attributes:
        chains: which cells, each with its seed, it is the calculation of (by their place in the sweep).
    """

    waits_for: ClassVar[frozenset[str]] = frozenset()
    guess_seconds: ClassVar[float] = 2.0
    """From milliseconds to half a minute, until some were made: the first ones go out alone."""

    settings: AnyTheory
    seed: int
    chains: frozenset[int] = frozenset()

    @cached_property
    def key(self) -> str:
        """What names its numbers."""
        settings = self.settings.canonical()
        return digest({"format": FORMAT_VERSION, "theory": settings, "seed": self.seed})

    @property
    def id(self) -> str:
        """What it is called as a piece of work."""
        return self.key

    @property
    def targets(self) -> tuple[str, ...]:
        """What is told as it is made: itself."""
        return (self.key,)

    @property
    def effort(self) -> Effort:
        """It takes about as long as those that differ from it in sizes and λ alone."""
        differ = ("n_r", "n_s", "lambda")
        alike = {name: value for name, value in self.settings.canonical().items() if name not in differ}
        return Effort(digest(alike), self.settings.size)


@dataclass(frozen=True)
class Calculations:
    """All calculations of a sweep, each once.

    Attributes:
        made: by key; cells whose settings mean the same share one.
        cells: each cell with each seed, and the key of its calculation.
    """

    made: Mapping[str, Calculation]
    cells: Sequence[tuple[TheoryCell, int, str]]

    @staticmethod
    def of(cells: Iterable[TheoryCell], seeds: Sequence[int]) -> Calculations:
        """Those of every cell with every seed; nothing is looked up or made."""
        asked = [(cell, Calculation(cell.theory, seed)) for cell in cells for seed in seeds]
        chains: dict[str, set[int]] = defaultdict(set)
        for place, (_, each) in enumerate(asked):
            chains[each.key].add(place)
        made = {
            each.key: Calculation(each.settings, each.seed, frozenset(chains[each.key])) for _, each in asked
        }
        return Calculations(made, [(cell, each.seed, each.key) for cell, each in asked])

    def artifacts(self) -> list[tuple[str, str]]:
        """(kind, key) of everything that the finished sweep consists of."""
        return [(KIND, key) for key in self.made]


@dataclass(frozen=True)
class CalculationPlan:
    """What a sweep of theory is, and what of it is still to be made."""

    releases: ClassVar[tuple[()]] = ()

    all: Calculations
    work: tuple[Calculation, ...]

    @staticmethod
    def of(calculations: Calculations, markers: Mapping[tuple[str, str], Marker]) -> CalculationPlan:
        """What is missing, given the markers of what the store holds."""
        missing = tuple(each for key, each in calculations.made.items() if (KIND, key) not in markers)
        return CalculationPlan(calculations, missing)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.work

    def efforts(self, chains: Collection[int]) -> list[Effort]:
        """Of each calculation that is missing of any of these cells (by their place)."""
        return [each.effort for each in self.work if not each.chains.isdisjoint(chains)]

    @property
    def brief(self) -> str:
        """What the sweep is, in a few words."""
        seeds = len({seed for _, seed, _ in self.all.cells})
        return f"{len(self.all.cells) // seeds} cells, {seeds} seed{'s' * (seeds != 1)}"

    def told(self) -> str:
        """What the sweep is, and how much of it is missing, in a sentence."""
        n, missing = len(self.all.made), len(self.work)
        return f"{n} calculation{'s' * (n != 1)}, {n - missing} in the store, {missing} remain"
