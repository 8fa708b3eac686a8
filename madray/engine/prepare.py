"""Everything that happens before work starts: sources, targets, what the store holds, the plan."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from madray.artifacts import Marker
from madray.calculations import Calculations
from madray.engine.chain_targets import ChainTargets
from madray.engine.shards import Shard, ShardPlan
from madray.engine.sources import Sources
from madray.engine.targets import Targets
from madray.engine.theory_targets import TheoryTargets
from madray.engine.work import WorkPlan
from madray.errors import BadInput
from madray.growth import Pair, grow
from madray.ledger import Ledger, Row, SweepRecord
from madray.spec.chain import Chain
from madray.spec.reading import AnyFile, TheoryFile, label
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
        shard: which part of the sweep this driver makes; all of it where None.
        notes: what is worth saying before work starts.
    """

    sweep: Sweep
    store: Store
    ledger: Ledger
    sources: Sources
    targets: Targets
    plan: WorkPlan
    record: SweepRecord
    before: SweepRecord | None
    rows: Mapping[tuple[str, int, str], Row]
    markers: Mapping[Pair, Marker]
    notes: Sequence[str]
    shard: Shard | None = None

    @cached_property
    def mine(self) -> frozenset[int]:
        """The places of the chains that this driver makes."""
        if self.shard is not None:
            return self.shard.places(self.record)
        return frozenset(range(len(self.record.chains)))

    def planned(self, markers: Mapping[Pair, Marker]) -> Prepared:
        """The same with another look at the store."""
        whole = self.targets.plan(markers)
        made = whole if self.shard is None else ShardPlan(whole, self.shard, self.mine)
        return replace(self, markers=markers, plan=made)


def prepare(file: AnyFile, *, store: Store, data: Path | None, shard: Shard | None = None) -> Prepared:
    """Find out what a sweep is and what of it is missing. Writes nothing.

    Args:
        data: the user's data folder.
        shard: which part of the sweep is to be made; all of it where None.

    Raises: BadInput, if the data are not there, or a cell asks for more than they have.
    """
    sweep = file.sweep
    ledger = Ledger(store, sweep.name)
    before = ledger.find()
    sources = Sources(store, data=data, recorded=dict(before.content) if before is not None else {})
    targets, notes = _targets(file, sources)
    markers = store.markers(targets.artifacts())
    damaged = store.check(markers, _CHECKED_LOCAL if store.is_local else _CHECKED_REMOTE)
    markers = {pair: marker for pair, marker in markers.items() if pair not in damaged}
    record = SweepRecord(
        name=sweep.name,
        created=before.created if before is not None else round(time.time(), 3),
        text=file.text,
        content=sources.content,
        columns=targets.columns(),
        floors=targets.floors(),
        chains=targets.chains(),
        row=targets.row,
    )
    prepared = Prepared(
        sweep,
        store,
        ledger,
        sources,
        targets,
        targets.plan(markers),
        record,
        before,
        ledger.rows(),
        markers,
        notes,
        shard,
    )
    return prepared if shard is None else prepared.planned(markers)


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
        told.append("settings or seeds changed")
    lengths = set(old.values()), set(new.values())
    if lengths[0] != lengths[1]:
        told.append(f"generations: {max(lengths[0])} → {max(lengths[1])}")
    return told


def _some(cells: Sequence[str], shown: int = 6) -> str:
    more = f" and {len(cells) - shown} more" if len(cells) > shown else ""
    return "; ".join(cells[:shown]) + more


def _targets(file: AnyFile, sources: Sources) -> tuple[Targets, list[str]]:
    """What the cells of a file ask for, and what is worth saying of them."""
    if isinstance(file, TheoryFile):
        return TheoryTargets(Calculations.of(file.cells, file.sweep.seed_list)), []
    notes = [note for cell in file.cells for note in _checked(sources, cell.chain)]
    return ChainTargets(grow(file.sweep, file.cells, sources.source)), [*dict.fromkeys(notes)]


def _checked(sources: Sources, chain: Chain) -> list[str]:
    try:
        return sources.check(chain)
    except BadInput as error:
        text = str(error)
        raise BadInput(text if text.startswith("chain.") else f"chain.reference: {text}") from None
