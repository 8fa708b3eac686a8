"""A sweep made by several drivers at once on one store: which chains are whose."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from madray.batches import batches, each_alone
from madray.engine.work import Work, WorkPlan
from madray.errors import BadInput
from madray.ledger import ChainRecord, Effort, SweepRecord
from madray.plan import Release, Segment


@dataclass(frozen=True)
class Shard:
    """The i-th of n parts of a sweep, i from 1.

    Chains that begin with the same generation stay together as long as there are as many such groups as
    shards (with several seeds there are), so that nothing is made twice. Where there are fewer, groups are
    cut, and a shared beginning is made by each shard that comes to it before it is in the store.

    A batch (`madray.batches`), which is one run in MLflow, is never cut as long as there are as many batches
    as shards. Where there are fewer, as of a boundary along one field, batches are cut as well: that all
    drivers have work counts for more than that each has runs of its own. Then those of a batch write to one.

    >>> Shard.parse("2/3")
    Shard(place=2, count=3)
    """

    place: int
    count: int

    @staticmethod
    def parse(told: str) -> Shard:
        """Reads `i/n`. Raises: BadInput."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", told)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise BadInput(f"--shard: expected i/n with i from 1 to n, got {told}; try 1/2 and 2/2")
        return Shard(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.place}/{self.count}"

    def places(self, record: SweepRecord) -> frozenset[int]:
        """Which chains of a sweep are this shard's, by their place.

        >>> chain = ChainRecord("", {}, seed=0, generations=["first"], rows=[], parameters={})
        >>> record = SweepRecord("five", 0.0, "", {}, [], {}, [chain] * 5)
        >>> sorted(Shard(1, 2).places(record)), sorted(Shard(2, 2).places(record))
        ([0, 1, 2], [3, 4])
        """
        alone = each_alone(record)
        whole = [[place] for place in range(len(record.chains))] if alone else [*batches(record).values()]
        groups = _groups(record.chains, whole)
        if len(groups) >= self.count:
            return self._dealt([sorted(place for batch in group for place in batch) for group in groups])
        pieces = [batch for group in groups for batch in group]
        if len(pieces) < self.count:
            pieces = [[place] for batch in pieces for place in batch]
        return self._cut(pieces)

    def _dealt(self, groups: Sequence[list[int]]) -> frozenset[int]:
        """Its groups where the largest is dealt first, each to who has least."""
        shares: list[list[int]] = [[] for _ in range(self.count)]
        for group in sorted(groups, key=lambda group: (-len(group), group)):
            min(shares, key=len).extend(group)
        return frozenset(shares[self.place - 1])

    def _cut(self, pieces: Sequence[list[int]]) -> frozenset[int]:
        """Its pieces where neighbours stay together, and each has as many, or one less."""
        cuts = [-(-len(pieces) * i // self.count) for i in range(self.count + 1)]
        own = pieces[cuts[self.place - 1] : cuts[self.place]]
        return frozenset(place for piece in own for place in piece)


def _groups(chains: Sequence[ChainRecord], batches: Sequence[list[int]]) -> list[list[list[int]]]:
    """Batches put together as far as any of their chains begin with the same generation."""
    above: dict[str, str] = {}

    def top(beginning: str) -> str:
        while (higher := above.setdefault(beginning, beginning)) != beginning:
            above[beginning] = beginning = above[higher]
        return beginning

    for batch in batches:
        for place in batch:
            above[top(chains[place].generations[0])] = top(chains[batch[0]].generations[0])
    groups: dict[str, list[list[int]]] = defaultdict(list)
    for batch in batches:
        groups[top(chains[batch[0]].generations[0])].append(batch)
    return list(groups.values())


@dataclass(frozen=True)
class ShardPlan:
    """What of a plan is a shard's.

    What another shard's chains use as well is not let go: they may still read it. `madray gc` names it when
    the whole sweep is finished.
    """

    whole: WorkPlan
    shard: Shard
    chains: frozenset[int]

    @property
    def work(self) -> Sequence[Work]:
        """Its pieces of work; those that no chain is named for, the real side, are every shard's that has
        chains at all."""
        if not self.chains:
            return []
        return [self._kept(each) for each in self.whole.work if not each.chains or each.chains & self.chains]

    @property
    def releases(self) -> Sequence[Release]:
        """Those that concern its own chains alone."""
        own = {each.id for each in self.whole.work if each.chains and each.chains <= self.chains}
        return [release for release in self.whole.releases if release.after <= own]

    @property
    def complete(self) -> bool:
        """Whether nothing of it is missing."""
        return not self.work

    def efforts(self, chains: Collection[int]) -> Sequence[Effort]:
        """Of what takes time for any of these chains, as far as they are its own."""
        return self.whole.efforts(self.chains.intersection(chains))

    @property
    def brief(self) -> str:
        """What the sweep is, in a few words."""
        return f"shard {self.shard} of {self.whole.brief}"

    def told(self) -> str:
        """What the sweep is, and how much of this shard is missing, in a sentence."""
        n, left = len(self.chains), len(self.efforts(self.chains))
        return f"{self.whole.told()}, {left} of them for {n} chain{'s' * (n != 1)} of shard {self.shard}"

    def _kept(self, work: Work) -> Work:
        if not isinstance(work, Segment) or work.chains <= self.chains:
            return work
        return replace(work, orders=tuple(replace(order, spent=()) for order in work.orders))
