"""A sweep file's cells grown into a forest: every generation, draw and measurement, each once and by its key.

Nothing is looked up or made here, so all keys are known before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from madray.forest import (
    Draw,
    Generation,
    Measurement,
    RealOrder,
    RealSet,
    Source,
    picture_key,
    resolve,
)
from madray.keys import canonical, digest
from madray.ledger import Effort
from madray.loops import Draw as Part
from madray.loops import Sizes, SyntheticDraw, draws_of, synthetic_stream
from madray.spec.chain import Chain
from madray.spec.metrics import AnyMetric
from madray.spec.reading import Cell
from madray.spec.sweep import Keep, Sweep
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
    """Everything about one generation that some chain of the sweep asks for.

    Attributes:
        like: what takes as long to fit: the same generator on the same reference.
    """

    generation: Generation
    source: Source
    like: str
    training: tuple[Draw, ...]
    pooled: tuple[Draw, ...]
    chains: set[int] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    outputs: dict[str, Draw] = field(default_factory=dict)
    measurements: dict[str, Measurement] = field(default_factory=dict)
    pictures: dict[str, Draw] = field(default_factory=dict)
    kept: bool = False

    @property
    def effort(self) -> Effort:
        """What its fit takes."""
        return Effort(self.like, sum(draw.n for draw in self.training))


@dataclass(frozen=True)
class Forest:
    """All generations of a sweep, each once, parents before children."""

    made: Mapping[str, Made]
    chains: Sequence[ChainPlan]
    real: Mapping[str, RealOrder]
    _chunks: dict[str, tuple[Pair, ...]] = field(default_factory=dict, repr=False, compare=False)

    def chunks(self, draw: Draw) -> tuple[Pair, ...]:
        """(kind, key) of the stored pieces of a draw."""
        if draw.key not in self._chunks:
            self._chunks[draw.key] = tuple(("draws", chunk) for chunk in draw.chunk_keys())
        return self._chunks[draw.key]

    def artifacts(self) -> Iterable[Pair]:
        """(kind, key) of everything that the finished sweep consists of."""
        for key, made in self.made.items():
            yield "generations", key
            yield from (("measurements", each) for each in made.measurements)
            yield from (("pictures", picture_key(draw)) for draw in made.pictures.values())
            for draw in made.outputs.values():
                yield from self.chunks(draw)
        for key, order in self.real.items():
            yield "features", key
            yield from (("measurements", floor.key) for floor in order.floors)


def grow(sweep: Sweep, cells: Sequence[Cell], sources: Callable[[Chain], Source]) -> Forest:
    """All generations, draws and measurements of a sweep, by key; nothing is looked up or made.

    Args:
        sources: gives the reference of a chain, with the digest of its content.
    """
    made: dict[str, Made] = {}
    chains: list[ChainPlan] = []
    real: dict[str, RealOrder] = {}
    for cell in cells:
        chain, source = cell.chain, sources(cell.chain)
        real_set = RealSet(source, chain.n_eval, chain.extractor)
        measured = chain.measured
        if compared := [metric for metric in measured if metric.needs_real]:
            floors = tuple(Measurement(metric, source, None, None, real_set) for metric in compared)
            real[real_set.key] = RealOrder(real_set, floors)
        for seed in sweep.seed_list:
            grower = _Grower(made, len(chains), cell, seed, source, real_set, measured)
            chains.append(grower.grow(sweep.keep))
    return Forest(made, chains, real)


@dataclass(frozen=True)
class _Grower:
    """Adds one chain to the generations of a sweep."""

    made: dict[str, Made]
    index: int
    cell: Cell
    seed: int
    source: Source
    real_set: RealSet
    measured: tuple[AnyMetric, ...]

    def grow(self, keep: Keep) -> ChainPlan:
        chain, seed = self.cell.chain, self.seed
        sizes = Sizes(chain.n_ini, chain.real_size, chain.synthetic_size, chain.n_fixed or 0, chain.memory)
        like = digest([chain.generator.canonical(), self.source.key])
        line: list[Generation] = []
        numbers, pictures = [], []
        for t in range(1, chain.generations + 1):
            parts = draws_of(chain.loop, t, sizes=sizes, seed=seed)
            resolved = [self._resolve(part, line, chain.bias) for part in parts]
            training = tuple(draw for draw, _ in resolved)
            pooled = tuple(draw for _, pool in resolved for draw in pool)
            keys = tuple(draw.key for draw in training)
            generation = Generation(t, chain.generator, keys, Stream.of(seed, t, "fit"))
            one = self.made.get(generation.key)
            if one is None:
                one = self.made[generation.key] = Made(generation, self.source, like, training, pooled)
            one.chains.add(self.index)
            one.kept = one.kept or keep.keeps(t, chain.generations)
            for parent, draw in synthetic_draws(training, pooled):
                self.made[parent].outputs[draw.key] = draw
                self.made[parent].children.add(generation.key)
            line.append(generation)
            numbers.append(self._measure(one, line))
            pictures.append(self._show(one, line, keep))
        return ChainPlan(self.cell, seed, tuple(each.key for each in line), tuple(numbers), tuple(pictures))

    def _resolve(self, part: Part, line: list[Generation], bias: float) -> tuple[Draw, tuple[Draw, ...]]:
        return resolve(part, source=self.source, made=line, bias=bias, labels=self.cell.chain.labels)

    def _looked_at(self, line: list[Generation], bias: float) -> Draw:
        """The samples of the last generation of the line that metrics look at."""
        t = len(line)
        part = SyntheticDraw(t, self.cell.chain.n_eval, synthetic_stream(self.seed, t + 1, t))
        return self._resolve(part, line, bias)[0]

    def _measure(self, one: Made, line: list[Generation]) -> tuple[Number, ...]:
        """Adds what is measured of a generation; returns the numbers of its row."""
        chain = self.cell.chain
        row: list[Number] = []
        further = {f"_at_lambda_{canonical(bias)}": bias for bias in chain.measure_bias}
        for suffix, bias in {"": chain.bias, **further}.items():
            draw = self._looked_at(line, bias)
            for metric in self.measured:
                if suffix and not metric.needs_samples:
                    continue  # it is the same at every λ
                measurement = Measurement(
                    metric,
                    self.source,
                    one.generation.key,
                    draw if metric.needs_samples else None,
                    self.real_set if metric.needs_real else None,
                )
                one.measurements[measurement.key] = measurement
                if metric.needs_samples:
                    one.outputs[draw.key] = draw
                row += [Number(name + suffix, measurement.key, name) for name in metric.names]
        return tuple(row)

    def _show(self, one: Made, line: list[Generation], keep: Keep) -> str:
        """Adds the picture of a generation at the chain's λ; returns its key, empty where there is none."""
        chain = self.cell.chain
        kept = keep.keeps(len(line), chain.generations)
        if chain.generator.milliseconds and (chain.reference.kind == "gaussian" or not kept):
            return ""  # models of milliseconds are many, and of Gaussians there is nothing to see
        draw = self._looked_at(line, chain.bias)
        one.outputs[draw.key] = one.pictures[draw.key] = draw
        return picture_key(draw)


def synthetic_draws(training: Iterable[Draw], pooled: Iterable[Draw]) -> Iterable[tuple[str, Draw]]:
    """The draws of a training set that come from other generations, and the keys of these."""
    return ((draw.sources[0], draw) for draw in (*training, *pooled) if isinstance(draw.part, SyntheticDraw))
