"""What of a store a sweep needs: told by its record and its rows alone, without its data and without Ray.

The sweep's file says it, as keys are made today. Where it cannot be read any more (a plug-in that is gone),
or makes other keys than the record holds (a plug-in that was edited, a `version` that was raised), all that
the record and the rows name is needed as well: what was made is never given up because code changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain as one_by_one

from madray.bundles import BUNDLES
from madray.calculations import KIND as THEORY
from madray.calculations import Calculations
from madray.engine.chain_targets import ChainTargets
from madray.engine.targets import Names, Targets
from madray.engine.theory_targets import TheoryTargets
from madray.errors import BadInput
from madray.forest import RECORD, Source, recorded_as
from madray.growth import Forest, Pair, grow
from madray.keys import canonical
from madray.ledger import ChainRecord, Ledger, Row, SweepRecord, finished
from madray.spec.chain import Chain
from madray.spec.reading import TheoryFile, parse_sweep
from madray.store import Store

Needs = Mapping[Pair, Names]
"""(kind, key) of artifacts, and the names of the files of each that are needed; None where all are."""

UNNAMED = frozenset({BUNDLES, "draws", "features", "measurements", "references"})
"""The kinds whose keys stand in no record and no row."""


@dataclass(frozen=True)
class Needed:
    """What one sweep needs, or several.

    Attributes:
        files: what has to stay: all that a sweep consists of while it is unfinished, then what `keep` says.
        made: what of it is there by now, as the rows say; of generations perhaps the record alone.
        is_all: whether these are all. If not, there are others of the kinds `UNNAMED`, whose keys nobody
            knows.
    """

    files: Needs
    made: Needs
    is_all: bool = True


def needs_of(store: Store, name: str) -> Needed:
    """What a sweep needs. Where its record has other keys than its file makes today, the store's `notes` say
    so.

    Raises: BadInput, if the store knows no such sweep, or has no whole record of it.
    """
    ledger = Ledger(store, name)
    return _needed(store, ledger, ledger.record())


def needs_of_all(store: Store) -> Needed:
    """What the sweeps of a store need, together.

    One whose records are all damaged still needs what its rows name. One that was removed needs nothing.
    """
    known = Ledger.known(store)
    each = [_needed(store, Ledger(store, name), record) for name, record in known.items()]
    for ledger in (Ledger(store, name) for name in Ledger.names(store) if name not in known):
        if ledger.has_records():
            named = merged(_named_by(row) for row in ledger.rows().values())
            each.append(Needed(named, named, is_all=False))
    return Needed(
        merged(one.files for one in each), merged(one.made for one in each), all(one.is_all for one in each)
    )


def merged(parts: Iterable[Needs]) -> Needs:
    """What is needed by any of them.

    >>> merged([{("generations", "a"): frozenset({"record.json"})}, {("generations", "a"): None}])
    {('generations', 'a'): None}
    """
    together: dict[Pair, Names] = {}
    for needs in parts:
        for pair, names in needs.items():
            before = together.get(pair, frozenset())
            together[pair] = None if before is None or names is None else before | names
    return together


def _needed(store: Store, ledger: Ledger, record: SweepRecord) -> Needed:
    rows = list(finished(record, ledger.rows()))
    is_finished = len(rows) == sum(len(chain.rows) for chain in record.chains)
    today: Needs = {}
    try:
        targets = _targets(record)
        if _keys(targets.chains()) == _keys(record.chains):
            needs = dict(targets.stays(finished=is_finished))
            return Needed(needs, needs if is_finished else merged(_made_by(targets, record, rows)))
        why = "its file makes other keys today than its record has"
        today = dict(targets.stays(finished=False))
        if isinstance(targets, ChainTargets):
            today |= dict.fromkeys(_of_recorded(targets.forest, record))
    except BadInput as error:
        why = f"its file cannot be read any more ({str(error).removeprefix(f'{record.name}: ')})"
    store.notes.append(f"{record.name}: {why}; what its record and its rows name is kept")
    named = merged(_named_by(row) for _, _, row in rows)
    files = merged([_recorded(record), named, today])
    return Needed(files, _without_weights(named), is_all=_is_theory(record))


def _made_by(
    targets: Targets, record: SweepRecord, rows: Iterable[tuple[ChainRecord, int, Row]]
) -> Iterator[Needs]:
    """What finished rows of an unfinished sweep tell of; weights may have gone as it went on."""
    places = {chain.id: place for place, chain in enumerate(record.chains)}
    for chain, t, row in rows:
        yield _without_weights(dict.fromkeys(targets.needs(places[chain.id], t)))
        if row.picture:
            yield {("pictures", row.picture): None}


def _recorded(record: SweepRecord) -> Needs:
    """What a record names, with all files: what `keep` lets go went while the sweep ran."""
    keys = set(one_by_one.from_iterable(chain.generations for chain in record.chains))
    kinds = (THEORY,) if _is_theory(record) else ("generations", "work")
    named: dict[Pair, Names] = {(kind, key): None for kind in kinds for key in keys}
    return named | {("measurements", key): None for key in record.floors.values()}


def _of_recorded(forest: Forest, record: SweepRecord) -> Iterator[Pair]:
    """Samples and measurements of the generations that a record names, as far as these alone have other keys
    today: the keys of what was made of them follow from theirs."""
    recorded = {(canonical(dict(chain.point)), chain.seed): chain for chain in record.chains}
    before: dict[str, str] = {}
    for chain in forest.chains:
        was = recorded.get((canonical(dict(chain.cell.point)), chain.seed))
        if was is not None:
            before |= zip(chain.generations, was.generations, strict=False)
    for key, made in forest.made.items():
        if key in before:
            draws = {draw.key: replace(draw, sources=(before[key],)) for draw in made.outputs.values()}
            yield from (("draws", chunk) for draw in draws.values() for chunk in draw.chunk_keys())
            for each in made.measurements.values():
                seen = None if each.evaluation is None else draws[each.evaluation.key]
                yield "measurements", replace(each, generation=before[key], evaluation=seen).key


def _named_by(row: Row) -> Needs:
    """What a row names."""
    kind = THEORY if row.key == row.generation else "generations"
    picture: Needs = {("pictures", row.picture): None} if row.picture else {}
    return {(kind, row.generation): None, **picture}


def _without_weights(needs: Needs) -> Needs:
    return {
        (kind, key): frozenset({RECORD}) if kind == "generations" else names
        for (kind, key), names in needs.items()
    }


def _is_theory(record: SweepRecord) -> bool:
    """The rows of a calculation have its key; those of a generation have keys of their own."""
    return all(chain.rows == chain.generations for chain in record.chains)


def _keys(chains: Sequence[ChainRecord]) -> list[tuple[list[str], list[str]]]:
    return [(list(chain.generations), list(chain.rows)) for chain in chains]


def _targets(record: SweepRecord) -> Targets:
    file = parse_sweep(record.text, name=record.name)
    if isinstance(file, TheoryFile):
        return TheoryTargets(Calculations.of(file.cells, file.sweep.seed_list))

    def source(chain: Chain) -> Source:
        content = record.content.get(recorded_as(chain.reference)) if chain.reference.finite else None
        return Source(chain.reference, content)

    return ChainTargets(grow(file.sweep, file.cells, source))
