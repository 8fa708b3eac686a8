"""What the nodes of a Ray cluster have, against what a trainer asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import ray

from madray.errors import BadInput
from madray.spec.sweep import Resources


def refuse_what_no_node_has(resources: Resources) -> None:
    """Ray would wait without end for a node that can hold a trainer, and say nothing.

    A file that says `resources.concurrent` is taken to know of nodes that will come.

    Raises: BadInput, if no node of the cluster has the CPUs and GPUs of one trainer.
    """
    if resources.concurrent is None:
        nodes: list[dict[str, object]] = ray.nodes()  # type: ignore[no-untyped-call] # Ray's own
        refuse_unless_one_holds(resources, [_had(node) for node in nodes if node["Alive"]])


def refuse_unless_one_holds(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> None:
    """Raises: BadInput, if none of these nodes has the CPUs and GPUs of one trainer.

    >>> refuse_unless_one_holds(Resources(gpus=1), [{"CPU": 8.0}, {"CPU": 8.0}])
    Traceback (most recent call last):
    madray.errors.BadInput: resources: expected a node with 1 CPU and 1 GPU for a trainer, the cluster has \
2 × (8 CPU, 0 GPU); try resources.gpus=0, or resources.concurrent where the cluster grows by itself
    """
    wanted = {"CPU": float(resources.cpus), "GPU": float(resources.gpus)}
    if any(all(node.get(name, 0.0) >= n for name, n in wanted.items()) for node in nodes):
        return
    kinds = Counter(_told({name: node.get(name, 0.0) for name in wanted}, ", ") for node in nodes)
    there = ", ".join(f"{count} × ({kind})" for kind, count in kinds.items()) or "no nodes"
    most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in wanted}
    fields = {"CPU": "resources.cpus", "GPU": "resources.gpus"}
    tries = [f"{fields[name]}={most[name]:g}" for name, n in wanted.items() if most[name] < n]
    smaller = " and ".join(tries) or "a node of both"
    asked = _told({name: n for name, n in wanted.items() if n}, " and ")
    raise BadInput(
        f"resources: expected a node with {asked} for a trainer, the cluster has {there}; "
        f"try {smaller}, or resources.concurrent where the cluster grows by itself"
    )


def _had(node: Mapping[str, object]) -> Mapping[str, float]:
    has = node["Resources"]
    assert isinstance(has, dict)
    return has


def _told(amounts: Mapping[str, float], between: str) -> str:
    return between.join(f"{n:g} {name}" for name, n in amounts.items())
