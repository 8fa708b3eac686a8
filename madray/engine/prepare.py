"""Everything that happens before work starts: sources, forest, what the store holds, the plan."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madray.artifacts import Marker
from madray.engine.sources import Sources
from madray.errors import BadInput
from madray.forest import Source
from madray.keys import canonical, digest
from madray.ledger import ChainRecord, Ledger, Row, SweepRecord
from madray.plan import ChainPlan, Forest, Pair, Plan, grow, plan
from madray.spec.base import short
from madray.spec.chain import Chain
from madray.spec.reading import SweepFile, label, plain
from madray.spec.sweep import Sweep
from madray.store import Store

_CHECKED_LOCAL = 2 << 30
_CHECKED_REMOTE = 64 << 20
"""How many bytes are read before work starts to find damage; the rest is checked when it is read."""


@dataclass(frozen=True)
class Prepared:
    """A sweep whose keys are known and whose plan is made.

    Attributes:
        record: what the ledger will know of the sweep.
        before: what it knew until now.
        rows: the finished rows that the ledger knows.
        markers: what the store holds of the sweep.
        notes: what is worth saying before work starts.
    """

    sweep: Sweep
    store: Store
    ledger: Ledger
    sources: Sources
    forest: Forest
    plan: Plan
    record: SweepRecord
    before: SweepRecord | None
    rows: Mapping[tuple[str, int, str], Row]
    markers: Mapping[Pair, Marker]
    notes: Sequence[str]


def prepare(file: SweepFile, *, store: Store, data: Path | None) -> Prepared:
    """Find out what a sweep is and what of it is missing. Writes nothing.

    Raises: BadInput, if the data are not there, or a cell asks for more than they have.
    """
    sweep, cells = file.sweep, file.cells
    ledger = Ledger(store, sweep.name)
    before = ledger.find()
    sources = Sources(store, data=data, recorded=dict(before.content) if before is not None else {})
    notes = [note for cell in cells for note in _checked(sources, cell.chain)]
    forest = grow(sweep, cells, sources.source)
    markers = store.markers(forest.artifacts())
    damaged = store.check(markers, _CHECKED_LOCAL if store.is_local else _CHECKED_REMOTE)
    markers = {pair: marker for pair, marker in markers.items() if pair not in damaged}
    record = SweepRecord(
        name=sweep.name,
        created=before.created if before is not None else round(time.time(), 3),
        text=file.text,
        content=sources.content,
        columns=_columns(forest),
        floors=_floors(forest),
        chains=[_chain_record(chain) for chain in forest.chains],
    )
    made = plan(forest, markers)
    return Prepared(
        sweep,
        store,
        ledger,
        sources,
        forest,
        made,
        record,
        before,
        ledger.rows(),
        markers,
        [*dict.fromkeys(notes)],
    )


def like(settings: Any, source: Source) -> str:
    """Names the fits that take about as long: the same generator on the same kind of samples."""
    return digest([settings.canonical(), source.key])


def changes(before: SweepRecord | None, now: SweepRecord) -> list[str]:
    """What an edit of a known sweep does to its cells, in sentences."""
    if before is None:
        return []
    old = {label(chain.point): len(chain.rows) for chain in before.chains}
    new = {label(chain.point): len(chain.rows) for chain in now.chains}
    told = []
    if came := [cell for cell in new if cell not in old]:
        told.append(f"new cells: {_some(came)}")
    if went := [cell for cell in old if cell not in new]:
        told.append(f"cells that went (what was made stays in the store): {_some(went)}")
    known = {chain.id for chain in before.chains}
    if not told and any(chain.id not in known for chain in now.chains):
        told.append("the chain's settings or seeds changed")
    lengths = set(old.values()), set(new.values())
    if lengths[0] != lengths[1]:
        told.append(f"generations: {max(lengths[0])} → {max(lengths[1])}")
    return told


def _some(cells: Sequence[str], shown: int = 6) -> str:
    more = f" and {len(cells) - shown} more" if len(cells) > shown else ""
    return "; ".join(cells[:shown]) + more


def _checked(sources: Sources, chain: Chain) -> list[str]:
    try:
        return sources.check(chain)
    except BadInput as error:
        text = str(error)
        raise BadInput(text if text.startswith("chain.") else f"chain.reference: {text}") from None


def _columns(forest: Forest) -> list[str]:
    """All names of measured numbers, in the order in which the cells first name them; in what order the
    file has the cells makes no difference."""
    chains = sorted(forest.chains, key=lambda chain: canonical(dict(chain.cell.point)))
    return list(dict.fromkeys(number.name for chain in chains for number in chain.numbers[0]))


def _floors(forest: Forest) -> dict[str, str]:
    return {
        name: floor.key
        for order in forest.real.values()
        for floor in order.floors
        for name in floor.metric.names
    }


def _chain_record(chain: ChainPlan) -> ChainRecord:
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
