"""A forest and what the store holds → what is missing → segments. No torch, no Ray.

What the store holds is never made again; what is missing is cut into segments, each a run of generations with
the same descendants, which one worker makes in one go.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from madray.artifacts import Marker
from madray.forest import (
    RECORD,
    Draw,
    Measurement,
    Order,
    RealOrder,
    picture_key,
)
from madray.growth import Forest, Pair, synthetic_draws
from madray.ledger import Effort

_SECONDS_AT_LEAST, _SECONDS_A_GENERATION = 0.25, 0.002
"""How long a segment whose fits take milliseconds is thought to take, before one was made."""


@dataclass(frozen=True)
class Segment:
    """A run of generations with the same descendants: what one trial makes.

    Attributes:
        waits_for: ids of the segments, or of the real side, that must be there first.
        chains: which chains (by their place in the forest) it is part of.
        kept: keys of the generations whose weights stay.
        pictures: the draws whose first samples are shown, by generation.
    """

    id: str
    orders: tuple[Order, ...]
    waits_for: frozenset[str]
    chains: frozenset[int]
    kept: frozenset[str] = frozenset()
    pictures: Mapping[str, tuple[Draw, ...]] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        """Keys of its generations: what is told as it is made."""
        return tuple(order.generation.key for order in self.orders)

    @cached_property
    def milliseconds(self) -> bool:
        """Whether it is worth making together with others."""
        return all(order.generation.settings.milliseconds for order in self.orders)

    @property
    def guess_seconds(self) -> float:
        """How long it may take, until that is known; infinite where it always goes out alone."""
        if not self.milliseconds:
            return math.inf
        return max(_SECONDS_AT_LEAST, _SECONDS_A_GENERATION * len(self.orders))

    def artifacts(self) -> Iterable[Pair]:
        """(kind, key) of everything that it makes."""
        for order in self.orders:
            yield "generations", order.generation.key
            yield from (("measurements", each.key) for each in order.measurements)
            for draw in order.outputs:
                yield from (("draws", chunk) for chunk in draw.chunk_keys())
        for draws in self.pictures.values():
            yield from (("pictures", picture_key(draw)) for draw in draws)

    def begun(self, markers: Mapping[Pair, Marker]) -> Segment:
        """What is left of it where another worker began it: samples that were made, used and dropped since
        are not made again.

        Args:
            markers: of its artifacts, as far as they are in the store.
        """
        spent = {pair for order in self.orders for pair in order.spent}
        asked: dict[str, set[str]] = defaultdict(set)
        orders = []
        for order in reversed(self.orders):
            key = order.generation.key
            missing = [each for each in order.measurements if ("measurements", each.key) not in markers]
            pictures = [
                draw for draw in self.pictures.get(key, ()) if ("pictures", picture_key(draw)) not in markers
            ]
            wanted = asked[key] | _looked_at(missing, pictures).keys()
            outputs = tuple(
                draw
                for draw in order.outputs
                if draw.key in wanted or any(("draws", chunk) not in spent for chunk in draw.chunk_keys())
            )
            unmade = [draw for draw in outputs if any(pair not in markers for pair in _chunks(draw))]
            if _must_fit(markers.get(("generations", key)), unmade, missing, kept=key in self.kept):
                for source, draw in synthetic_draws(order.training, order.pooled):
                    asked[source].add(draw.key)
            orders.append(replace(order, outputs=outputs))
        return replace(self, orders=tuple(reversed(orders)))


@dataclass(frozen=True)
class Release:
    """Weights and samples that nobody wants to keep once these segments are made."""

    after: frozenset[str]
    spent: tuple[Pair, ...]


@dataclass(frozen=True)
class Plan:
    """What a sweep is, and what of it is still to be made.

    Attributes:
        real: real sides that are missing or incomplete.
        fits: keys of the generations that have to be fitted.
        in_store: how many generations need no fit.
    """

    forest: Forest
    real: tuple[RealOrder, ...]
    segments: tuple[Segment, ...]
    releases: tuple[Release, ...]
    fits: frozenset[str]

    @property
    def generations(self) -> int:
        """How many different generations the sweep has."""
        return len(self.forest.made)

    @property
    def shared(self) -> int:
        """How many generations of chains are another chain's as well, and are made only once."""
        return sum(len(chain.generations) for chain in self.forest.chains) - self.generations

    @property
    def in_store(self) -> int:
        """How many generations need no fit."""
        return self.generations - len(self.fits)

    @property
    def work(self) -> tuple[RealOrder | Segment, ...]:
        """All that is to be made, in pieces."""
        return (*self.real, *self.segments)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.work

    def efforts(self, chains: Collection[int]) -> list[Effort]:
        """Of each fit that is missing of any of these chains."""
        made = [self.forest.made[key] for key in self.fits]
        return [each.effort for each in made if not each.chains.isdisjoint(chains)]

    @property
    def brief(self) -> str:
        """What the sweep is, in a few words."""
        return f"{len(self.forest.chains)} chains, {self.shared} generations shared"

    def told(self) -> str:
        """What the sweep is, and how much of it is missing, in a sentence."""
        chains = len(self.forest.chains)
        return (
            f"{chains} chain{'s' * (chains != 1)}, {self.generations} generations "
            f"({self.shared} more are shared), {self.in_store} in the store, {len(self.fits)} fits remain"
        )


def plan(forest: Forest, markers: Mapping[Pair, Marker]) -> Plan:
    """What is missing of a forest, given the markers of what the store holds, cut into segments."""
    asked: dict[str, dict[str, Draw]] = defaultdict(dict)
    orders: dict[str, Order] = {}
    pictures: dict[str, tuple[Draw, ...]] = {}
    fits = set()
    for key, made in reversed(list(forest.made.items())):
        measurements = [
            each for each in made.measurements.values() if ("measurements", each.key) not in markers
        ]
        shown = [draw for draw in made.pictures.values() if ("pictures", picture_key(draw)) not in markers]
        wanted = asked[key] | _looked_at(measurements, shown) | (made.outputs if made.kept else {})
        outputs = [
            draw for draw in wanted.values() if any(pair not in markers for pair in forest.chunks(draw))
        ]
        must_fit = _must_fit(markers.get(("generations", key)), outputs, measurements, kept=made.kept)
        if not (must_fit or outputs or measurements or shown):
            continue
        if must_fit:
            fits.add(key)
            for parent, draw in synthetic_draws(made.training, made.pooled):
                asked[parent][draw.key] = draw
        if shown:
            pictures[key] = tuple(shown)
        orders[key] = Order(
            made.generation,
            made.source,
            made.training,
            made.pooled,
            tuple(outputs),
            tuple(measurements),
            None,
        )
    real = tuple(order for key, order in forest.real.items() if not _real_is_there(key, order, markers))
    segments = _cut(forest, orders, pictures, real)
    return Plan(forest, real, *_release(forest, segments, fits, markers), frozenset(fits))


def _looked_at(measurements: Iterable[Measurement], pictures: Iterable[Draw]) -> dict[str, Draw]:
    """The samples that these measurements and pictures are made of."""
    draws = [each.evaluation for each in measurements if each.evaluation is not None]
    return {draw.key: draw for draw in (*draws, *pictures)}


def _must_fit(
    marker: Marker | None, outputs: Collection[Draw], measurements: Collection[Measurement], *, kept: bool
) -> bool:
    """Whether a generation was never fitted, or its weights went and are wanted again."""
    weightless = marker is None or set(marker.files) == {RECORD}
    return marker is None or (weightless and bool(outputs or measurements or kept))


def _chunks(draw: Draw) -> Iterable[Pair]:
    return (("draws", chunk) for chunk in draw.chunk_keys())


def _real_is_there(key: str, order: RealOrder, markers: Mapping[Pair, Marker]) -> bool:
    floors = all(("measurements", floor.key) in markers for floor in order.floors)
    return floors and ("features", key) in markers


def _cut(
    forest: Forest,
    orders: Mapping[str, Order],
    pictures: Mapping[str, tuple[Draw, ...]],
    real: Sequence[RealOrder],
) -> list[Segment]:
    """Generations with the same chains make a segment. A child's chains are among its parents', so what a
    segment waits for never waits for it."""
    groups: dict[frozenset[int], list[Order]] = defaultdict(list)
    place: dict[str, str] = {}
    for key, made in forest.made.items():
        if key in orders:
            groups[frozenset(made.chains)].append(orders[key])
    for group in groups.values():
        place |= {order.generation.key: group[0].generation.key for order in group}
    real_keys = {order.real.key for order in real}
    segments = []
    for chains, group in groups.items():
        name = group[0].generation.key
        keys = [order.generation.key for order in group]
        parents = {
            place[parent]
            for order in group
            for parent, _ in synthetic_draws(order.training, order.pooled)
            if parent in place
        }
        compared = {each.real.key for order in group for each in order.measurements if each.real is not None}
        waits_for = frozenset((parents - {name}) | (compared & real_keys))
        kept = frozenset(key for key in keys if forest.made[key].kept)
        shown = {key: pictures[key] for key in keys if key in pictures}
        segments.append(Segment(name, tuple(group), waits_for, chains, kept, shown))
    return segments


def _release(
    forest: Forest, segments: Sequence[Segment], fits: Collection[str], markers: Mapping[Pair, Marker]
) -> tuple[tuple[Segment, ...], tuple[Release, ...]]:
    """Says when the weights and samples of generations that are not kept may go: inside a segment with the
    order that uses them last, across segments when the last of these is made. What was in the store before
    stays: another sweep may want to keep it."""
    place = {
        order.generation.key: (s, o) for s, each in enumerate(segments) for o, order in enumerate(each.orders)
    }
    spent: dict[tuple[int, int], list[Pair]] = defaultdict(list)
    releases = []
    for key, made in forest.made.items():
        if made.kept or key not in place:
            continue
        items: list[Pair] = [("generations", key)] if key in fits else []
        chunks = dict.fromkeys(pair for draw in made.outputs.values() for pair in forest.chunks(draw))
        items += [pair for pair in chunks if pair not in markers]
        if not items:
            continue
        users = [place[each] for each in (key, *made.children) if each in place]
        if {s for s, _ in users} == {place[key][0]}:
            spent[max(users)] += items
        else:
            releases.append(Release(frozenset(segments[s].id for s, _ in users), tuple(items)))
    cut = tuple(
        replace(
            each,
            orders=tuple(
                replace(order, spent=tuple(spent[s, o])) if (s, o) in spent else order
                for o, order in enumerate(each.orders)
            ),
        )
        for s, each in enumerate(segments)
    )
    return cut, tuple(releases)
