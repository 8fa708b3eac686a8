"""Makes one generation: draws → fit → sample → measure → commit. Knows no Ray.

What is already in the store is never made again, so an order can be carried out any number of times, by
anyone, after any crash: it goes on where things stand.
"""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madray.artifacts import Artifacts
from madray.checkpoints import no_checkpoints
from madray.errors import Missing
from madray.forest import (
    RECORD,
    Draw,
    Measurement,
    Order,
    RealOrder,
    RealSet,
    Source,
    picture_key,
)
from madray.generators.protocol import Checkpoint, build_generator, sample_chunk
from madray.kept_models import KeptModels, record_of
from madray.loops import PoolDraw, RealDraw
from madray.metrics.evidence import Evidence, RealSide
from madray.parquet import to_parquet
from madray.pictures import SHOWN, picture_of
from madray.references import Reference, build_reference
from madray.samples import SampleSet
from madray.spec.generators import AnyGenerator
from madray.tables import FILE, KeptTables, ReadTables, TableReader

Watch = Callable[[str, int, int], None]
"""Called with what is done right now (`fit`, `sample`, `measure`), how far it is, and how far it goes."""


_SAMPLED_BYTES = 64 << 20
"""Up to how many bytes of the samples that were made here are at hand for training and for metrics."""


class Spread(Protocol):
    """How missing chunks of a draw are made: here, one after the other, or by other actors as well."""

    def __call__(
        self, maker: Maker, settings: AnyGenerator, draw: Draw, indices: Sequence[int], watch: Watch
    ) -> None:
        """Make and commit these chunks."""


class Maker:
    """Carries out orders against a store. One a process; keeps the last few models and tables at hand."""

    def __init__(
        self,
        artifacts: Artifacts,
        *,
        tables: TableReader | None = None,
        checkpoints: Callable[[str], Checkpoint] = no_checkpoints,
        spread: Spread | None = None,
    ) -> None:
        self.artifacts = artifacts
        self._tables = tables or ReadTables(artifacts)
        self._sampled = KeptTables(_SAMPLED_BYTES)
        self._checkpoints = checkpoints
        self._spread = spread or one_after_the_other
        self._models = KeptModels(artifacts)
        self._references: dict[str, Reference] = {}
        self._real_sides: OrderedDict[str, RealSide] = OrderedDict()

    def make(
        self, order: Order, watch: Watch, *, pictures: Sequence[Draw] = (), keep_weights: bool = False
    ) -> dict[str, dict[str, float]]:
        """Make all that an order names and that is not in the store.

        Args:
            pictures: draws whose first samples are shown.
            keep_weights: whether the weights have to be there in the end, even if nothing else needs them.

        Returns: the numbers of each measurement of the order, by its key.
        """
        key = order.generation.key
        if not self.artifacts.has("generations", key, RECORD) or (
            (keep_weights or self._weights_are_wanted(order)) and not self._models.weights(key)
        ):
            self._fit(order, watch)
        for draw in order.outputs:
            self._sample(order.generation.settings, draw, watch)
        numbers = self._measure(order, watch)
        for shown in [order.picture, *pictures]:
            if shown is not None and not self.artifacts.has("pictures", picture_key(shown)):
                self._draw_picture(shown)
        for kind, spent in order.spent:
            self.artifacts.drop(kind, spent, keep=(RECORD,) if kind == "generations" else ())
            self._models.forget(spent)
        return numbers

    def make_real_side(self, order: RealOrder) -> None:
        """Make the real half of all comparisons, and the floor of each metric."""
        from madray.metrics.real_side import make_real_side, measure_floor, pack

        real = order.real
        reference = self._reference(real.source)
        size = reference.size
        both = reference.draw(2 * real.n if size is None else min(2 * real.n, size), real.stream)
        if not self.artifacts.has("features", real.key):
            side = make_real_side(self._features(real, both.head(real.n)))
            self.artifacts.commit("features", real.key, pack(side))
        side = self._real_side(real)
        missing = [floor for floor in order.floors if not self.artifacts.has("measurements", floor.key)]
        if len(both) < 2 * real.n:  # no other real samples are left to compare with
            for floor in missing:
                write_numbers(self.artifacts, floor.key, dict.fromkeys(floor.metric.names, math.nan))
            return
        other = both.take(np.arange(real.n, 2 * real.n))
        features = self._features(real, other)
        for floor in missing:
            numbers = measure_floor(floor.metric, reference, side, other, features)
            write_numbers(self.artifacts, floor.key, numbers)

    def samples(
        self, settings: AnyGenerator, source: Source, draw: Draw, pooled: Sequence[Draw] = ()
    ) -> SampleSet:
        """The samples of a draw, made where they are missing.

        Args:
            settings: of the generator that made its synthetic samples.
            pooled: the draws that pools are made of.
        """
        if isinstance(draw.part, RealDraw):
            return self._reference(source).draw(draw.n, draw.stream)
        if isinstance(draw.part, PoolDraw):
            by_key = {each.key: each for each in pooled}
            pool = SampleSet.concat([self.samples(settings, source, by_key[key]) for key in draw.sources])
            chosen = draw.stream.numpy().permutation(len(pool))[: draw.n]
            return pool.take(chosen)
        tables = [self._chunk(settings, draw, index, key) for index, key in enumerate(draw.chunk_keys())]
        return SampleSet.from_arrow(pa.concat_tables(tables)).head(draw.n)

    def commit_chunk(self, settings: AnyGenerator, draw: Draw, index: int, key: str) -> None:
        """Sample one chunk of a draw, whole, and commit it."""
        source = draw.sources[0]
        generator = self._models.load(source, settings)
        shares = None
        if draw.labels == "empirical" and generator.classes is not None:
            counts = np.array(self._models.record(source)["label_counts"], float)
            shares = counts / counts.sum()
        made = sample_chunk(
            generator,
            index,
            chunk=draw.chunk,
            bias=1.0 if draw.bias is None else draw.bias,
            stream=draw.stream,
            label_shares=shares,
        )
        provenance = {
            "source": source,
            "lambda": str(draw.bias),
            "stream": draw.stream.name,
            "key": key,
        }
        made = SampleSet(made.values, made.labels, made.classes, provenance)
        table = made.to_arrow()
        self.artifacts.commit("draws", key, {FILE: to_parquet(table)})
        self._sampled.keep("draws", key, table)

    def _weights_are_wanted(self, order: Order) -> bool:
        """Whether what is still missing is made with the weights, and no model is at hand."""
        if self._models.at_hand(order.generation.key):
            return False
        chunks = any(
            not self.artifacts.has("draws", key) for draw in order.outputs for key in draw.chunk_keys()
        )
        looked_into = [each.key for each in order.measurements if each.metric.needs_model]
        return chunks or any(not self.artifacts.has("measurements", key) for key in looked_into)

    def _fit(self, order: Order, watch: Watch) -> None:
        generation = order.generation
        samples = self.training_set(order)
        generator = build_generator(generation.settings)
        watch("fit", 0, 1)
        started = time.perf_counter()
        generator.fit(
            samples,
            stream=generation.stream,
            checkpoint=self._checkpoints(generation.key),
            progress=lambda done, total: watch("fit", done, total),
        )
        record = record_of(generation, samples, generator, seconds=time.perf_counter() - started)
        self._models.commit(generation, generator, record)
        self.artifacts.drop("work", generation.key)

    def training_set(self, order: Order) -> SampleSet:
        """All draws of a training set, one after the other."""
        settings = order.generation.settings
        parts = [self.samples(settings, order.source, draw, order.pooled) for draw in order.training]
        return SampleSet.concat(parts)

    def _sample(self, settings: AnyGenerator, draw: Draw, watch: Watch) -> None:
        keys = list(draw.chunk_keys())
        missing = [index for index, key in enumerate(keys) if not self.artifacts.has("draws", key)]
        if missing:
            self._spread(self, settings, draw, missing, watch)

    def _chunk(self, settings: AnyGenerator, draw: Draw, index: int, key: str) -> pa.Table:
        try:
            return self._table(key)
        except Missing:
            self.commit_chunk(settings, draw, index, key)
            return self._table(key)

    def _table(self, key: str) -> pa.Table:
        """A chunk: what was sampled here just now need not be read."""
        table = self._sampled.get("draws", key)
        return self._tables.table("draws", key) if table is None else table

    def _measure(self, order: Order, watch: Watch) -> dict[str, dict[str, float]]:
        """The numbers of each measurement; those that look at the same samples look together."""
        numbers = {}
        looked: _Looked | None = None
        for done, measurement in enumerate(order.measurements):
            watch("measure", done, len(order.measurements))
            if not self.artifacts.has("measurements", measurement.key):
                draw = measurement.evaluation
                if draw is not None and (looked is None or looked.draw.key != draw.key):
                    looked = _Looked(draw, self.samples(order.generation.settings, order.source, draw))
                self._measure_one(order, measurement, looked if draw is not None else None)
            numbers[measurement.key] = read_numbers(self.artifacts, measurement.key)
        return numbers

    def _measure_one(self, order: Order, measurement: Measurement, looked: _Looked | None) -> None:
        from madray.metrics.measure import measure

        real = measurement.real
        evidence = Evidence(
            generator=self._models.load(order.generation.key, order.generation.settings)
            if measurement.metric.needs_model
            else None,
            reference=self._reference(order.source),
            bias=looked.draw.bias if looked is not None and looked.draw.bias is not None else 1.0,
            samples=looked.samples if looked is not None else None,
            features=looked.features(real, self._features)
            if looked is not None and real is not None
            else None,
            real=self._real_side(real) if real is not None else None,
        )
        numbers = measure(measurement.metric, evidence)
        write_numbers(self.artifacts, measurement.key, numbers)

    def _draw_picture(self, draw: Draw) -> None:
        table = self._table(next(draw.chunk_keys()))
        samples = SampleSet.from_arrow(table)
        shown = picture_of(samples.head(min(SHOWN, draw.n, len(samples))) if samples.is_image else samples)
        self.artifacts.commit("pictures", picture_key(draw), {} if shown is None else {"grid.png": shown})

    def _reference(self, source: Source) -> Reference:
        if source.key not in self._references:
            samples = None
            if source.content is not None:
                samples = SampleSet.from_arrow(self._tables.table("references", source.key))
            self._references = {source.key: build_reference(source.settings, samples)}
        return self._references[source.key]

    def _features(self, real: RealSet, samples: SampleSet) -> NDArray[np.float32]:
        """What is compared with this real set."""
        from madray.metrics.features import extract

        if not real.extractor.needs_real:
            return extract(real.extractor, samples)
        return extract(real.extractor, samples, self._reference(real.source).draw(real.n, real.stream))

    def _real_side(self, real: RealSet) -> RealSide:
        from madray.metrics.real_side import unpack

        if real.key not in self._real_sides:
            self._real_sides[real.key] = unpack(self.artifacts.read("features", real.key))
            while len(self._real_sides) > 2:
                self._real_sides.popitem(last=False)
        return self._real_sides[real.key]


class _Looked:
    """The samples that metrics look at, and their features, made when the first one asks for them."""

    def __init__(self, draw: Draw, samples: SampleSet) -> None:
        self.draw = draw
        self.samples = samples
        self._features: dict[str, NDArray[np.float32]] = {}

    def features(
        self, real: RealSet, make: Callable[[RealSet, SampleSet], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Those that are compared with this real set."""
        if real.key not in self._features:
            self._features[real.key] = make(real, self.samples)
        return self._features[real.key]


def one_after_the_other(
    maker: Maker, settings: AnyGenerator, draw: Draw, indices: Sequence[int], watch: Watch
) -> None:
    """Make the missing chunks of a draw in this process."""
    keys = list(draw.chunk_keys())
    for done, index in enumerate(indices):
        watch("sample", done, len(indices))
        maker.commit_chunk(settings, draw, index, keys[index])
    watch("sample", len(indices), len(indices))


def write_numbers(artifacts: Artifacts, key: str, numbers: Mapping[str, float]) -> None:
    """Commit what was measured; each number as the shortest text that reads back as the same float."""
    told = {name: float(number) for name, number in numbers.items()}
    artifacts.commit("measurements", key, {"numbers.json": json.dumps(told).encode()})


def read_numbers(artifacts: Artifacts, key: str) -> dict[str, float]:
    """What was measured. Raises: Missing, Damaged."""
    numbers: dict[str, float] = json.loads(artifacts.read("measurements", key)["numbers.json"])
    return numbers
