"""Actors that only sample: chunks of a draw spread over the bundles of a trial's placement group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from madray.chain import Maker, Watch
from madray.engine.threads import thread_variables
from madray.forest import Draw
from madray.spec.generators import AnyGenerator
from madray.store import Store


class Sampler:
    """Makes chunks of draws, from weights that it reads from the store."""

    def __init__(self, store: Store) -> None:
        self._maker = Maker(store)

    def make(self, settings: AnyGenerator, draw: Draw, index: int, key: str) -> int:
        """Sample one chunk and commit it; returns its index."""
        self._maker.commit_chunk(settings, draw, index, key)
        return index


class SpreadOverSamplers:
    """Gives every sampler a chunk, makes one here, and so on until none is missing."""

    def __init__(self, store: Store, count: int, threads: int) -> None:
        group: Any = ray.util.get_current_placement_group()
        remote = ray.remote(num_cpus=1)(Sampler)
        self._samplers = [
            remote.options(
                # Bundle 0 is the trainer's. An actor outside the trial's bundles would wait for ever.
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    group, placement_group_bundle_index=1 + place
                ),
                runtime_env={"env_vars": thread_variables(threads)},
            ).remote(store)
            for place in range(count)
        ]

    def __call__(
        self, maker: Maker, settings: AnyGenerator, draw: Draw, indices: Sequence[int], watch: Watch
    ) -> None:
        """Make the missing chunks of a draw; see `madray.chain.Spread`."""
        keys = list(draw.chunk_keys())
        left = list(indices)
        under_way: dict[Any, Any] = {}
        idle: list[Any] = list(self._samplers)
        while left or under_way:
            while idle and len(left) > 1:
                index = left.pop()
                sampler = idle.pop()
                under_way[sampler.make.remote(settings, draw, index, keys[index])] = sampler
            if left:
                index = left.pop(0)
                maker.commit_chunk(settings, draw, index, keys[index])
            if under_way:
                done, _ = ray.wait(list(under_way), timeout=0 if left else None)
                for each in done:
                    ray.get(each)
                    idle.append(under_way.pop(each))
            watch("sample", len(indices) - len(left) - len(under_way), len(indices))
