"""Where real samples come from: the user's data folder once, the store ever after."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from madray.errors import BadInput, Missing
from madray.forest import Source, recorded_as
from madray.parquet import to_parquet
from madray.references import build_reference
from madray.samples import SampleSet
from madray.spec.chain import Chain
from madray.spec.generators import check_kind
from madray.spec.imported import Imported
from madray.spec.metrics import Identity, PrecisionRecall, check_shape
from madray.spec.references import Parquet
from madray.store import Store
from madray.tables import FILE

_OVERLAP = 0.05
"""Fresh draws that share more than this much of their samples are worth a word."""
_UNITS_APART = 10
"""So are coordinates of deviations this many times apart, where metrics see them as they are."""
_SHOWN = 6
"""How many classes an error names one by one."""


@dataclass(frozen=True)
class Facts:
    """What one must know of a reference to check a chain against it."""

    size: int | None
    shape: tuple[int, ...]
    classes: int | None
    spread: float | None = None
    """How many times the largest deviation of a coordinate is the smallest; None where nobody looked."""
    empty: tuple[int, ...] = ()
    """The classes without a sample, of a finite reference."""


class Sources:
    """The references of a sweep, by content. Only the driver has one: only it reads `--data`."""

    def __init__(self, store: Store, *, data: Path | None, recorded: dict[str, str]) -> None:
        """
        Args:
            data: the user's data folder.
            recorded: what an earlier run found: digests of content by the digest of the reference's settings.
        """
        self._store = store
        self._data = data
        self._known: dict[str, Source] = {}
        self._facts: dict[str, Facts] = {}
        self._read: dict[str, SampleSet] = {}
        self.content = dict(recorded)

    def source(self, chain: Chain) -> Source:
        """The reference of a chain and the digest of its content.

        Raises: BadInput, if its data are neither in the data folder nor in the store.
        """
        name = recorded_as(chain.reference)
        if name not in self._known:
            self._known[name] = self._find(name, chain.reference)
        return self._known[name]

    def check(self, chain: Chain) -> list[str]:
        """Check a chain against what its reference has; returns what is worth saying, but not wrong.

        Raises: BadInput, if sizes ask for more than a finite reference has, λ < 1 needs labels it has not, a
            class that a conditional generator would sample has none to learn from, or a metric, the extractor
            or the generator takes samples of another shape.
        """
        source = self.source(chain)
        facts = self._facts_of(source)
        _check_shapes(chain, facts.shape)
        if not isinstance(chain.reference, Imported):  # what its samples are, it alone knows
            _check_kind(chain, facts.shape)
        if facts.classes is None and chain.generator.needs_labels_for_bias:
            for bias in (chain.bias, *chain.measure_bias):
                if bias < 1:
                    raise BadInput(
                        f"chain.lambda: expected 1 for {chain.generator.kind} on {chain.reference.kind}, "
                        f"which has no labels to guide towards, got {bias:g}"
                    )
        _check_classes(chain, facts)
        for metric in chain.measured:
            if isinstance(metric, PrecisionRecall) and metric.k >= chain.n_eval:
                raise BadInput(f"chain.n_eval: expected more than k = {metric.k}, got {chain.n_eval}")
        if facts.size is None:
            return []
        asked = {"n_ini": chain.n_ini, "n_r": chain.real_size, "n_fixed": chain.n_fixed or 0}
        if any(metric.needs_real for metric in chain.measured):
            asked["n_eval"] = chain.n_eval
        for field, n in asked.items():
            if n > facts.size:
                raise BadInput(
                    f"chain.{field}: expected at most the {facts.size} samples of {chain.reference.kind}, "
                    f"got {n}"
                )
        return _overlaps(chain, facts.size) + _units(chain, facts.spread)

    def bring(self, sources: Iterable[Source]) -> None:
        """Decode what is not in the store yet into it."""
        for source in sources:
            if source.content is not None and not self._store.has("references", source.key):
                samples = self._samples(source)
                facts = json.dumps(asdict(_facts(samples))).encode()
                files = {FILE: to_parquet(samples.to_arrow()), "facts.json": facts}
                self._store.commit("references", source.key, files)

    def _find(self, name: str, settings: Any) -> Source:
        from madray.references.content import content_digest

        try:
            source = Source(settings, content_digest(settings, self._data))
        except BadInput:
            # Data that an earlier run has read need not be at hand again.
            source = Source(settings, self.content.get(name))
            if source.content is None or not self._store.has("references", source.key):
                raise
        if source.content is not None:
            self.content[name] = source.content
        return source

    def _facts_of(self, source: Source) -> Facts:
        if source.key not in self._facts:
            self._facts[source.key] = self._find_facts(source)
        return self._facts[source.key]

    def _find_facts(self, source: Source) -> Facts:
        if source.content is None:
            reference = build_reference(source.settings, None)
            return Facts(reference.size, reference.shape, reference.classes)
        try:
            told = json.loads(self._store.read("references", source.key, "facts.json")["facts.json"])
        except Missing:
            return _facts(self._samples(source))
        return Facts(**{**told, "shape": tuple(told["shape"]), "empty": tuple(told.get("empty", ()))})

    def _samples(self, source: Source) -> SampleSet:
        from madray.references.content import read

        if source.key not in self._read:
            self._read[source.key] = read(source.settings, self._data)
        return self._read[source.key]


def _facts(samples: SampleSet) -> Facts:
    spread = None
    if not samples.is_image:
        deviations = samples.flat().std(axis=0, dtype=np.float64)
        varies = deviations[deviations > 0]
        spread = float(varies.max() / varies.min()) if len(varies) else None
    counts = samples.label_counts() or []
    empty = tuple(label for label, count in enumerate(counts) if not count)
    return Facts(len(samples), samples.shape, samples.classes, spread, empty)


def _check_classes(chain: Chain, facts: Facts) -> None:
    """Refuse classes that the user's data lack; those that a later generation has lost are a result."""
    if not facts.empty or not chain.generator.needs_labels_for_bias:
        return
    shown = ", ".join(str(label) for label in facts.empty[:_SHOWN])
    more = f" and {len(facts.empty) - _SHOWN} more" if len(facts.empty) > _SHOWN else ""
    column = (
        f" in column {chain.reference.label or 'label'!r}" if isinstance(chain.reference, Parquet) else ""
    )
    raise BadInput(
        f"chain.reference: expected samples of all {facts.classes} classes{column} of "
        f"{chain.reference.kind} for {chain.generator.kind}, which samples each of them, got none of class "
        f"{shown}{more}; try numbering the classes from 0 without gaps"
        + (", and `classes` as many as there are" if column else "")
    )


def _check_kind(chain: Chain, shape: tuple[int, ...]) -> None:
    try:
        check_kind(chain.generator, shape)
    except BadInput as error:
        raise BadInput(f"chain.generator: {error}") from None


def _check_shapes(chain: Chain, shape: tuple[int, ...]) -> None:
    compares = any(metric.needs_real for metric in chain.measured)
    looks = [("metrics", metric) for metric in chain.measured]
    for field, part in [("extractor", chain.extractor)] * compares + looks:
        try:
            check_shape(part, shape)
        except BadInput as error:
            raise BadInput(f"chain.{field}: {error}") from None


def _units(chain: Chain, spread: float | None) -> list[str]:
    compares = any(metric.needs_real for metric in chain.measured)
    if spread is None or spread < _UNITS_APART or not compares or not isinstance(chain.extractor, Identity):
        return []
    return [
        f"one coordinate of {chain.reference.kind} varies {spread:.0f} times as much as another, so metrics "
        "see little but that one; `extractor: standardised` sees all alike"
    ]


def _overlaps(chain: Chain, size: int) -> list[str]:
    notes = []
    fresh = chain.real_size if "fresh" in getattr(chain.loop, "real", "") else 0
    if fresh / size > _OVERLAP:
        notes.append(
            f"fresh sets of n_r = {fresh} out of {size} samples of {chain.reference.kind} share "
            f"{fresh / size:.0%} of their samples on average"
        )
    if any(metric.needs_real for metric in chain.measured) and 2 * chain.n_eval > size:
        notes.append(
            f"n_eval = {chain.n_eval} is more than half of the {size} samples of {chain.reference.kind}: "
            "there is no floor, real samples against other real ones"
        )
    return notes
