"""What the tags of a run say: what it is of, and which rows of the ledger it holds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from madray.keys import digest
from madray.ledger import ChainRecord

SWEEP = "madray.sweep"
CHAIN = "madray.chain"
BEGUN = "madray.begun"
FIRST = "madray.first_generation"
POSITIONS = "madray.positions"
WRITTEN = "madray.written"
ARTIFACTS = "madray.artifacts"
PARENT = "mlflow.parentRunId"


def goes_on(chain: ChainRecord, tags: Mapping[str, str]) -> bool:
    """Whether a run with these tags holds nothing that is not this chain's.

    Generations keep their steps. Positions along a grid move when a value comes between two others.
    """
    moved = POSITIONS in tags and not vouched(chain, tags[POSITIONS])
    return tags.get(FIRST) == first_generation(chain) and not moved


def first_generation(chain: ChainRecord) -> str:
    """Says what a chain is of: its id names its settings, and the data that they stand for may change."""
    return chain.generations[0]


def vouch(chain: ChainRecord, written: set[int]) -> str:
    """Says which rows a run holds: all from t = 1 to where the first is missing."""
    n = next(t for t in count(1) if t not in written) - 1
    return f"{n} {digest(list(chain.rows[:n]))[:16]}"


def vouched(chain: ChainRecord, tag: str) -> set[int]:
    """The t of the rows that such a tag speaks of; none, if it speaks of other rows."""
    n, _, _ = tag.partition(" ")
    if not n.isdecimal() or int(n) > len(chain.rows):
        return set()
    rows = set(range(1, int(n) + 1))
    return rows if tag == vouch(chain, rows) else set()
