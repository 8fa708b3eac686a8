"""Which chains of a sweep stand together in one MLflow run, known to whoever deals them out or shows them.

The rows of a chain, or of a simulation, are its generations: each has a run of its own. A calculation with
one row makes no curve, and of more than a thousand chains nobody looks at the curves one by one: there a run
stands for a *batch*, the cells of one seed that agree in all but the last field of the grid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from madray.keys import digest
from madray.ledger import SweepRecord

MANY_CHAINS = 1000
"""Up to so many chains of a sweep have a run each."""


def each_alone(record: SweepRecord) -> bool:
    """Whether each chain of the sweep has a run of its own, and there are no batches."""
    return record.row == "generation" and len(record.chains) <= MANY_CHAINS


def last_field(record: SweepRecord) -> list[str]:
    """The field of the grid that a batch lies along; none where there is no grid."""
    return [*record.chains[0].point][-1:] if record.chains else []


def batches(record: SweepRecord) -> dict[str, list[int]]:
    """The places of the chains of each batch, in order, by the name that the batch keeps when the grid grows.

    >>> from madray.ledger import ChainRecord
    >>> cells = [{"lambda": bias, "n_r": n} for bias in (1.0, 0.9) for n in (10, 20)]
    >>> chains = [ChainRecord(str(cell), cell, 0, ["key"], ["key"], cell) for cell in cells]
    >>> record = SweepRecord("phase", 0.0, "", {}, [], {}, chains, row="calculation")
    >>> [*batches(record).values()]
    [[0, 1], [2, 3]]
    """
    field = last_field(record)
    found: dict[str, list[int]] = defaultdict(list)
    for place, cell in enumerate(record.chains):
        found[digest({"batch": without(cell.parameters, field), "seed": cell.seed})].append(place)
    return dict(found)


def without(fields: Mapping[str, Any], left_out: Sequence[str]) -> dict[str, Any]:
    """Fields but for those left out."""
    return {name: value for name, value in fields.items() if name not in left_out}
