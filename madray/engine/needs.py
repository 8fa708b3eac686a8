"""What of a store a sweep needs: told by its record alone, without its data and without Ray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from madray.calculations import Calculations
from madray.engine.chain_targets import ChainTargets
from madray.engine.targets import Names, Targets
from madray.engine.theory_targets import TheoryTargets
from madray.errors import BadInput
from madray.forest import Source, recorded_as
from madray.ledger import Ledger, SweepRecord, finished
from madray.plan import Pair, grow
from madray.spec.chain import Chain
from madray.spec.reading import TheoryFile, parse_sweep
from madray.store import Store

Needs = Mapping[Pair, Names]
"""(kind, key) of artifacts, and the names of the files of each that are needed; None where all are."""


def needs_of(store: Store, name: str) -> Needs:
    """What a sweep needs: all that it consists of while it is unfinished, then what its `keep` says.

    Raises: BadInput, if the store knows no such sweep, or its file cannot be read any more.
    """
    ledger = Ledger(store, name)
    record = ledger.record()
    try:
        targets = _targets(record)
    except BadInput as error:
        raise BadInput(f"the record of {name}: {error}") from None
    made = sum(1 for _ in finished(record, ledger.rows()))
    rows = sum(len(chain.rows) for chain in record.chains)
    return merged([dict(targets.stays(finished=made == rows))])


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


def _targets(record: SweepRecord) -> Targets:
    file = parse_sweep(record.text, name=record.name)
    if isinstance(file, TheoryFile):
        return TheoryTargets(Calculations.of(file.cells, file.sweep.seed_list))

    def source(chain: Chain) -> Source:
        content = record.content.get(recorded_as(chain.reference)) if chain.reference.finite else None
        return Source(chain.reference, content)

    return ChainTargets(grow(file.sweep, file.cells, source))
