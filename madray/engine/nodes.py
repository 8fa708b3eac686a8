"""What the nodes of a Ray cluster have, against what a trainer asks for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import ray

from madray.errors import BadInput
from madray.spec.sweep import Resources

WAIT_SECONDS = 60.0
"""How long nobody wonders that no trainer has begun: nodes take a while to come."""


def refuse_what_no_node_has(resources: Resources, *, grows: bool) -> None:
    """Ray would wait without end for a node that can hold a trainer, and say nothing.

    Args:
        grows: whether nodes may come. A file that says `resources.concurrent` is taken to know of them.

    Raises: BadInput, if no node of the cluster has the CPUs and GPUs of one trainer.
    """
    if grows and resources.concurrent is not None:
        return
    if lack := lacking(resources, _nodes()):
        more = ", or resources.concurrent where the cluster grows by itself" if grows else ""
        raise BadInput(f"resources: {lack}{more}")


class Waiting:
    """Says once that a sweep waits for a node, when it has for a while.

    Args:
        nodes: tells what each node has; those of the cluster that this process is connected to without.
        now_seconds: a clock.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        nodes: Callable[[], Sequence[Mapping[str, float]]] | None = None,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources, self._nodes, self._now = resources, nodes or _nodes, now_seconds
        self._due: float | None = now_seconds() + WAIT_SECONDS

    def told(self) -> str | None:
        """What to say now, if anything."""
        if self._due is None or self._now() < self._due:
            return None
        self._due = None
        lack = lacking(self._resources, self._nodes())
        return f"no trainer has begun for {WAIT_SECONDS:.0f} s: {lack or 'all nodes are busy'}"


def lacking(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> str | None:
    """What is wrong where none of these nodes has the CPUs and GPUs of one trainer; None where one has.

    >>> print(lacking(Resources(gpus=1), [{"CPU": 8.0}, {"CPU": 8.0}]))
    expected a node with 1 CPU and 1 GPU for a trainer, the cluster has 2 × (8 CPU, 0 GPU); \
try resources.gpus=0
    """
    wanted = {"CPU": float(resources.cpus), "GPU": float(resources.gpus)}
    if any(all(node.get(name, 0.0) >= n for name, n in wanted.items()) for node in nodes):
        return None
    kinds = Counter(_told({name: node.get(name, 0.0) for name in wanted}, ", ") for node in nodes)
    there = ", ".join(f"{count} × ({kind})" for kind, count in kinds.items()) or "no nodes"
    most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in wanted}
    fields = {"CPU": "resources.cpus", "GPU": "resources.gpus"}
    tries = [f"{fields[name]}={most[name]:g}" for name, n in wanted.items() if most[name] < n]
    smaller = " and ".join(tries) or "a node of both"
    asked = _told({name: n for name, n in wanted.items() if n}, " and ")
    return f"expected a node with {asked} for a trainer, the cluster has {there}; try {smaller}"


def _nodes() -> list[Mapping[str, float]]:
    nodes: list[dict[str, object]] = ray.nodes()  # type: ignore[no-untyped-call] # Ray's own
    return [_had(node) for node in nodes if node["Alive"]]


def _had(node: Mapping[str, object]) -> Mapping[str, float]:
    has = node["Resources"]
    assert isinstance(has, dict)
    return has


def _told(amounts: Mapping[str, float], between: str) -> str:
    return between.join(f"{n:g} {name}" for name, n in amounts.items())
