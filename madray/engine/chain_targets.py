"""The targets of a sweep of chains: generations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from madray.artifacts import Artifacts, Marker
from madray.chain import read_numbers
from madray.engine.targets import Names, Numbers, Place
from madray.forest import RECORD, Source
from madray.growth import ChainPlan, Forest, Pair
from madray.keys import canonical
from madray.ledger import ChainRecord, Row
from madray.plan import Plan, plan
from madray.spec.base import short
from madray.spec.reading import label, plain


@dataclass(frozen=True)
class ChainTargets:
    """Every generation of a forest; a row tells of one generation of one chain."""

    kind: ClassVar[Literal["generation"]] = "generation"
    row: ClassVar[Literal["generation"]] = "generation"

    forest: Forest

    def chains(self) -> list[ChainRecord]:
        """What the ledger will know of each chain."""
        return [_record(chain) for chain in self.forest.chains]

    def columns(self) -> list[str]:
        """In the order in which the cells first name them; in what order the file has the cells makes no
        difference."""
        chains = sorted(self.forest.chains, key=lambda chain: canonical(dict(chain.cell.point)))
        return list(dict.fromkeys(number.name for chain in chains for number in chain.numbers[0]))

    def floors(self) -> dict[str, str]:
        """Keys of the measurements of real samples against real samples, by the column's name."""
        return {
            name: floor.key
            for order in self.forest.real.values()
            for floor in order.floors
            for name in floor.metric.names
        }

    def names(self) -> dict[str, str]:
        """Cell, seed and t of each generation; shared ones by how many chains they begin."""
        names = {}
        by_key: dict[str, list[ChainPlan]] = defaultdict(list)
        for chain in self.forest.chains:
            for key in chain.generations:
                by_key[key].append(chain)
        for key, made in self.forest.made.items():
            chains = by_key[key]
            cells = {label(chain.cell.point) for chain in chains}
            cell = cells.pop() if len(cells) == 1 else f"shared by {len(chains)} chains"
            names[key] = f"{cell}, seed {chains[0].seed}, generation {made.generation.t}"
        return names

    def artifacts(self) -> Iterable[Pair]:
        """(kind, key) of everything that the finished sweep consists of."""
        return self.forest.artifacts()

    def stays(self, *, finished: bool) -> Iterator[tuple[Pair, Names]]:
        """All of it, or what `keep` says; records, numbers, pictures and references always."""
        for source in self.sources():
            if source.content is not None:
                yield ("references", source.key), None
        for kind, key in self.artifacts():
            made = self.forest.made.get(key)
            if kind == "draws" and finished:
                continue  # those of kept generations follow
            yield (kind, key), frozenset({RECORD}) if finished and made and not made.kept else None
        for key, made in self.forest.made.items():
            if not finished:
                yield ("work", key), None
            elif made.kept:
                yield from (
                    (pair, None) for draw in made.outputs.values() for pair in self.forest.chunks(draw)
                )

    def sources(self) -> Sequence[Source]:
        """The references, each once."""
        return list({made.source.key: made.source for made in self.forest.made.values()}.values())

    def plan(self, markers: Mapping[Pair, Marker]) -> Plan:
        """What is missing, given the markers of what the store holds."""
        return plan(self.forest, markers)

    def rows_of(self, target: str) -> Iterator[Place]:
        """One of each chain that the generation is part of."""
        made = self.forest.made[target]
        for place in sorted(made.chains):
            yield place, made.generation.t

    def needs(self, place: int, t: int) -> Iterator[Pair]:
        """The generation, and all that is measured of it."""
        chain = self.forest.chains[place]
        yield "generations", chain.generations[t - 1]
        for number in chain.numbers[t - 1]:
            yield "measurements", number.measurement

    def read(self, artifacts: Artifacts, key: str) -> Numbers:
        """The numbers of a measurement. Raises: Missing, Damaged."""
        return read_numbers(artifacts, key)

    def row_of(
        self,
        record: ChainRecord,
        place: int,
        t: int,
        *,
        read: Callable[[str], Numbers],
        seconds: float,
        size_bytes: float,
    ) -> Row:
        """The row of a chain's generation."""
        chain = self.forest.chains[place]
        key = chain.generations[t - 1]
        effort = self.forest.made[key].effort
        return Row(
            chain=record.id,
            t=t,
            key=record.rows[t - 1],
            generation=key,
            numbers={each.name: read(each.measurement)[each.metric_name] for each in chain.numbers[t - 1]},
            picture=chain.pictures[t - 1],
            like=effort.like,
            n=effort.n,
            seconds=seconds,
            size_bytes=size_bytes,
        )


def _record(chain: ChainPlan) -> ChainRecord:
    settings = chain.cell.chain
    return ChainRecord(
        id=chain.id,
        point=dict(chain.cell.point),
        seed=chain.seed,
        generations=list(chain.generations),
        rows=[chain.row_key(t) for t in range(1, settings.generations + 1)],
        parameters=_parameters(chain),
    )


def _parameters(chain: ChainPlan) -> dict[str, str]:
    """Flat parameters, so that runs can be compared side by side."""
    settings = chain.cell.chain
    told: dict[str, Any] = {
        "reference": settings.reference.kind,
        "generator": settings.generator.kind,
        "loop": settings.loop.written(),
        "lambda": float(settings.bias),
        "n_ini": settings.n_ini,
        "n_r": settings.real_size,
        "n_s": settings.synthetic_size,
        "memory": settings.memory,
        "labels": settings.labels,
        "n_eval": settings.n_eval,
        "seed": chain.seed,
    }
    for part in ("reference", "generator"):
        written = short(getattr(settings, part))
        if isinstance(written, dict):
            told |= {f"{part}.{name}": value for name, value in written.items() if name != "kind"}
    return {**{name: plain(value) for name, value in told.items()}, **_point(chain)}


def _point(chain: ChainPlan) -> dict[str, str]:
    named = {"loop", "lambda", "reference", "generator"}
    return {path: plain(value) for path, value in chain.cell.point.items() if path not in named}
