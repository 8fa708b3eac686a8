"""Sweep file → checked cells → keys → what is missing → segments. No torch, no Ray.

All keys are known before anything runs. What the store holds is never made again; what is missing is cut
into segments, each a run of generations with the same descendants, which one worker makes in one go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from madray.artifacts import Marker
from madray.forest import (
    RECORD,
    Draw,
    Generation,
    Measurement,
    Order,
    RealOrder,
    RealSet,
    Source,
    picture_key,
    resolve,
)
from madray.keys import digest
from madray.loops import Sizes, SyntheticDraw, draws_of, synthetic_stream
from madray.spec.chain import Chain
from madray.spec.reading import Cell
from madray.spec.sweep import Sweep
from madray.streams import Stream

Pair = tuple[str, str]
"""(kind, key) of an artifact."""


@dataclass(frozen=True)
class Number:
    """One number of a row: its name there, and where it is measured."""

    name: str
    measurement: str
    metric_name: str


@dataclass(frozen=True)
class ChainPlan:
    """One cell run from one seed.

    Attributes:
        generations: the key of each generation, from t = 1.
        numbers: for each generation, the numbers of its row.
        pictures: for each generation, the key of its picture.
    """

    cell: Cell
    seed: int
    generations: tuple[str, ...]
    numbers: tuple[tuple[Number, ...], ...]
    pictures: tuple[str, ...]

    @cached_property
    def id(self) -> str:
        """Names the chain whatever its length, so that a longer one goes on where a shorter one ended."""
        settings = self.cell.chain.canonical()
        settings.pop("generations")
        return digest({"chain": settings, "point": dict(self.cell.point), "seed": self.seed})

    def row_key(self, t: int) -> str:
        """Names the numbers of generation t: they change with the fit, and with what is measured."""
        numbers = [[each.name, each.measurement] for each in self.numbers[t - 1]]
        return digest([self.generations[t - 1], numbers])


@dataclass
class Made:
    """Everything about one generation that some chain of the sweep asks for."""

    generation: Generation
    source: Source
    training: tuple[Draw, ...]
    pooled: tuple[Draw, ...]
    chains: set[int] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    outputs: dict[str, Draw] = field(default_factory=dict)
    measurements: dict[str, Measurement] = field(default_factory=dict)
    picture: Draw | None = None
    kept: bool = False


@dataclass(frozen=True)
class Forest:
    """All generations of a sweep, each once, parents before children."""

    made: Mapping[str, Made]
    chains: Sequence[ChainPlan]
    real: Mapping[str, RealOrder]

    def artifacts(self) -> Iterable[Pair]:
        """(kind, key) of everything that the finished sweep consists of."""
        for key, made in self.made.items():
            yield "generations", key
            yield from (("measurements", each) for each in made.measurements)
            if made.picture is not None:
                yield "pictures", picture_key(made.picture)
            yield from (("draws", chunk) for draw in made.outputs.values() for chunk in draw.chunk_keys())
        for key, order in self.real.items():
            yield "features", key
            yield from (("measurements", floor.key) for floor in order.floors)


@dataclass(frozen=True)
class Segment:
    """A run of generations with the same descendants: what one trial makes.

    Attributes:
        waits_for: ids of the segments, or of the real side, that must be there first.
        chains: which chains (by their place in the forest) it is part of.
    """

    id: str
    orders: tuple[Order, ...]
    waits_for: frozenset[str]
    chains: frozenset[int]

    @property
    def milliseconds(self) -> bool:
        """Whether it is worth making together with others."""
        return all(order.generation.settings.milliseconds for order in self.orders)


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
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.segments and not self.real


def grow(sweep: Sweep, cells: Sequence[Cell], sources: Callable[[Chain], Source]) -> Forest:
    """All generations, draws and measurements of a sweep, by key; nothing is looked up or made.

    Args:
        sources: gives the reference of a chain, with the digest of its content.
    """
    made: dict[str, Made] = {}
    chains: list[ChainPlan] = []
    real: dict[str, RealOrder] = {}
    for cell in cells:
        source = sources(cell.chain)
        real_set = RealSet(source, cell.chain.n_eval, cell.chain.extractor)
        compared = [metric for metric in cell.chain.measured if metric.needs_real]
        if compared:
            floors = tuple(Measurement(metric, source, None, None, real_set) for metric in compared)
            real[real_set.key] = RealOrder(real_set, floors)
        for seed in sweep.seed_list:
            chains.append(_grow_chain(made, len(chains), sweep, cell, seed, source, real_set))
    return Forest(made, chains, real)


def _grow_chain(
    made: dict[str, Made], index: int, sweep: Sweep, cell: Cell, seed: int, source: Source, real_set: RealSet
) -> ChainPlan:
    chain = cell.chain
    sizes = Sizes(chain.n_ini, chain.real_size, chain.synthetic_size, chain.n_fixed or 0, chain.memory)
    line: list[Generation] = []
    numbers, pictures = [], []
    for t in range(1, chain.generations + 1):
        parts = draws_of(chain.loop, t, sizes=sizes, seed=seed)
        resolved = [
            resolve(part, source=source, made=line, bias=chain.bias, labels=chain.labels) for part in parts
        ]
        training = tuple(draw for draw, _ in resolved)
        pooled = tuple(draw for _, pool in resolved for draw in pool)
        keys = tuple(draw.key for draw in training)
        generation = Generation(t, chain.generator, keys, Stream.of(seed, t, "fit"))
        one = made.setdefault(generation.key, Made(generation, source, training, pooled))
        one.chains.add(index)
        one.kept = one.kept or sweep.keep.keeps(t, chain.generations)
        for draw in (*training, *pooled):
            if isinstance(draw.part, SyntheticDraw):
                parent = made[draw.sources[0]]
                parent.outputs[draw.key] = draw
                parent.children.add(generation.key)
        line.append(generation)
        shown, row = _grow_measurements(one, chain, seed, t, line, real_set)
        numbers.append(row)
        pictures.append(shown)
    return ChainPlan(cell, seed, tuple(each.key for each in line), tuple(numbers), tuple(pictures))


def _grow_measurements(
    one: Made, chain: Chain, seed: int, t: int, line: list[Generation], real_set: RealSet
) -> tuple[str, tuple[Number, ...]]:
    """Adds what is measured of a generation; returns the key of its picture and the numbers of its row."""
    row: list[Number] = []
    part = SyntheticDraw(t, chain.n_eval, synthetic_stream(seed, t + 1, t))
    shown = ""
    for bias in dict.fromkeys([chain.bias, *chain.measure_bias]):
        suffix = "" if bias == chain.bias else f"_at_lambda_{bias:g}"
        draw, _ = resolve(part, source=real_set.source, made=line, bias=bias, labels=chain.labels)
        for metric in chain.measured:
            if suffix and not metric.needs_samples:
                continue  # it is the same at every λ
            measurement = Measurement(
                metric,
                real_set.source,
                one.generation.key,
                draw if metric.needs_samples else None,
                real_set if metric.needs_real else None,
            )
            one.measurements[measurement.key] = measurement
            if metric.needs_samples:
                one.outputs[draw.key] = draw
            row += [Number(name + suffix, measurement.key, name) for name in metric.names]
        if not suffix and not chain.generator.milliseconds:
            # One picture a generation and λ; models of milliseconds are too many to look at one by one.
            one.outputs[draw.key] = one.picture = draw
            shown = picture_key(draw)
    return shown, tuple(row)


def plan(forest: Forest, markers: Mapping[Pair, Marker]) -> Plan:
    """What is missing of a forest, given the markers of what the store holds, cut into segments."""
    asked: dict[str, dict[str, Draw]] = defaultdict(dict)
    orders: dict[str, Order] = {}
    fits = set()
    for key, made in reversed(list(forest.made.items())):
        wanted = dict(asked[key])
        measurements = [
            each for each in made.measurements.values() if ("measurements", each.key) not in markers
        ]
        wanted |= {
            each.evaluation.key: each.evaluation for each in measurements if each.evaluation is not None
        }
        picture = made.picture
        if picture is not None and ("pictures", picture_key(picture)) in markers:
            picture = None
        if picture is not None:
            wanted[picture.key] = picture
        if made.kept:
            wanted |= made.outputs
        outputs = [draw for draw in wanted.values() if _incomplete(draw, markers)]
        marker = markers.get(("generations", key))
        weightless = marker is None or set(marker.files) == {RECORD}
        must_fit = marker is None or (weightless and bool(outputs or measurements or made.kept))
        if not (must_fit or outputs or measurements or picture):
            continue
        if must_fit:
            fits.add(key)
            for draw in (*made.training, *made.pooled):
                if isinstance(draw.part, SyntheticDraw):
                    asked[draw.sources[0]][draw.key] = draw
        orders[key] = Order(
            made.generation,
            made.source,
            made.training,
            made.pooled,
            tuple(outputs),
            tuple(measurements),
            picture,
        )
    real = tuple(order for key, order in forest.real.items() if not _real_is_there(key, order, markers))
    segments = _cut(forest, orders, real)
    return Plan(forest, real, *_release(forest, segments), frozenset(fits))


def _incomplete(draw: Draw, markers: Mapping[Pair, Marker]) -> bool:
    return any(("draws", chunk) not in markers for chunk in draw.chunk_keys())


def _real_is_there(key: str, order: RealOrder, markers: Mapping[Pair, Marker]) -> bool:
    floors = all(("measurements", floor.key) in markers for floor in order.floors)
    return floors and ("features", key) in markers


def _cut(forest: Forest, orders: Mapping[str, Order], real: Sequence[RealOrder]) -> list[Segment]:
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
        parents = {
            place[draw.sources[0]]
            for order in group
            for draw in (*order.training, *order.pooled)
            if isinstance(draw.part, SyntheticDraw) and draw.sources[0] in place
        }
        compared = {each.real.key for order in group for each in order.measurements if each.real is not None}
        waits_for = frozenset((parents - {name}) | (compared & real_keys))
        segments.append(Segment(name, tuple(group), waits_for, chains))
    return segments


def _release(forest: Forest, segments: Sequence[Segment]) -> tuple[tuple[Segment, ...], tuple[Release, ...]]:
    """Says when the weights and samples of generations that are not kept may go: inside a segment with the
    order that uses them last, across segments when the last of these is made."""
    place = {
        order.generation.key: (s, o) for s, each in enumerate(segments) for o, order in enumerate(each.orders)
    }
    spent: dict[tuple[int, int], list[Pair]] = defaultdict(list)
    releases = []
    for key, made in forest.made.items():
        if made.kept or key not in place:
            continue
        items = [("generations", key)]
        items += [("draws", chunk) for draw in made.outputs.values() for chunk in draw.chunk_keys()]
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
