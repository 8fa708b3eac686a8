"""Placement groups of trials, taken away so that no node loses the CPUs and GPUs that were being set aside.

Ray (seen with 2.60) sets a group's resources aside on a node in two steps. A group that is removed between
them is forgotten by the head, and not by the node: what was set aside is nobody's, and nobody gets it until
the node goes. https://github.com/ray-project/ray/issues/64693 has the like. Tune removes groups at just that
moment: it asks for one for the next trial, and gives it up as soon as a trainer is there to be reused, or
when the sweep is over and the trainers' own groups have just made room for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.air.execution import PlacementGroupResourceManager
from ray.tune.execution import tune_controller
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

_SETTLED_SECONDS = 2.0
"""A group that was given up, and that is not there after this, waits for room that there is not: nothing is
set aside for it."""

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class _GivenUp:
    group: PlacementGroup
    ready: Any
    since: float

    def can_go(self) -> bool:
        if time.monotonic() - self.since > _SETTLED_SECONDS:
            return True
        return bool(placement_group_table(self.group).get("state") in ("CREATED", "REMOVED"))


class SettledGroups(PlacementGroupResourceManager):
    """Tune's placement groups. One that is given up goes when it is there, or surely waits; or is asked for
    again before that."""

    def __init__(self, update_interval_s: float = 0.1) -> None:
        super().__init__(update_interval_s)
        self._given_up: dict[Any, list[_GivenUp]] = {}
        self._looked = 0.0

    def request_resources(self, resource_request: Any) -> None:
        """Ask for a group, or take one back that was given up."""
        if not self._given_up.get(resource_request):
            super().request_resources(resource_request)
            return
        again = self._given_up[resource_request].pop()
        self._pg_to_request[again.group] = resource_request
        self._request_to_staged_pgs[resource_request].add(again.group)
        self._staging_future_to_pg[again.ready] = again.group
        self._pg_to_staging_future[again.group] = again.ready

    def cancel_resource_request(self, resource_request: Any) -> None:
        """Give a group up."""
        if not self._request_to_staged_pgs[resource_request]:
            super().cancel_resource_request(resource_request)  # it is there: that is safe
            return
        group = self._request_to_staged_pgs[resource_request].pop()
        ready = self._pg_to_staging_future.pop(group)
        del self._staging_future_to_pg[ready], self._pg_to_request[group]
        self._given_up.setdefault(resource_request, []).append(_GivenUp(group, ready, time.monotonic()))

    def get_resource_futures(self) -> list[Any]:
        """What to wait for. Tune asks in each of its rounds, and what was given up goes meanwhile."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._let_go()
        return list(super().get_resource_futures())

    def clear(self) -> None:
        """Take all groups away."""
        if ray.is_initialized():
            for request, groups in list(self._request_to_staged_pgs.items()):
                for _ in range(len(groups)):
                    self.cancel_resource_request(request)
            while any(self._given_up.values()):
                self._let_go()
                time.sleep(_LOOK_SECONDS / 5)
        super().clear()  # type: ignore[no-untyped-call]

    def _let_go(self) -> None:
        self._looked = time.monotonic()
        for request, groups in self._given_up.items():
            going = [each for each in groups if each.can_go()]
            self._given_up[request] = [each for each in groups if each not in going]
            for each in going:
                ray.cancel(each.ready)  # else it would wait for ever for its group
                remove_placement_group(each.group)


@contextmanager
def settled_groups() -> Iterator[None]:
    """While this lasts, Tune takes its placement groups away as `SettledGroups` does."""
    names = vars(tune_controller)  # a controller can be given its groups, but a Tuner cannot
    before = names["PlacementGroupResourceManager"]
    names["PlacementGroupResourceManager"] = SettledGroups
    try:
        yield
    finally:
        names["PlacementGroupResourceManager"] = before
