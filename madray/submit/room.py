"""How much of a sweep a cluster can make at a time.

A cluster that grows with what is asked of it starts with no workers, and on the first one as many trainers
run as that one has room for: then nothing waits, and it grows no further. So a sweep that says nothing of
`resources.concurrent` is told the room that the cluster has when it is as large as it may become.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madray.errors import BadInput
from madray.spec.reading import AnyFile, read_sweep
from madray.spec.sweep import Resources
from madray.submit.raycluster import ray_container


@dataclass(frozen=True)
class Workers:
    """A group of workers: what Ray sees of one, and how many there may be."""

    cpus: float
    gpus: float
    at_most: int

    def fit(self, resources: Resources) -> int:
        """How many trainers one worker has room for.

        >>> Workers(cpus=7, gpus=1, at_most=8).fit(Resources(cpus=1, gpus=0.25))
        4
        """
        trainers = self.cpus / (resources.cpus + resources.samplers)
        if resources.gpus:
            trainers = min(trainers, self.gpus / resources.gpus)
        return int(trainers + 1e-9)

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs and {self.gpus:g} GPUs"


def fill_cluster(path: Path, overrides: Sequence[str], cluster: Mapping[str, Any]) -> AnyFile:
    """Read a sweep that is to run on a cluster, with `resources.concurrent` where the cluster grows.

    Raises: BadInput, if the sweep is not right, or a trainer fits no worker: it would wait for ever.
    """
    file = read_sweep(path, overrides)
    trainers = trainers_at_most(cluster, file.sweep.resources)
    grows = cluster["spec"].get("enableInTreeAutoscaling") is True
    if file.sweep.resources.concurrent is not None or not grows:
        return file
    return read_sweep(path, [*overrides, f"resources.concurrent={trainers}"])


def trainers_at_most(cluster: Mapping[str, Any], resources: Resources) -> int:
    """How many trainers fit the cluster when it is as large as it may become.

    Trainers without GPUs are not counted on workers that have some, unless there are no others: Ray starts
    those last, and they cost the most.

    Raises: BadInput, if there is not room for one.
    """
    groups = [_workers(group) for group in cluster["spec"]["workerGroupSpecs"]]
    fitting = [group for group in groups if group.fit(resources) and group.at_most]
    if not resources.gpus:
        fitting = [group for group in fitting if not group.gpus] or fitting
    if not fitting:
        wanted = Workers(resources.cpus + resources.samplers, resources.gpus, 1)
        raise BadInput(
            f"resources: expected a trainer to fit a worker of the cluster, got one of {wanted}, "
            f"workers of {'; of '.join(map(str, groups))}; try --set resources.gpus=…"
        )
    return sum(group.fit(resources) * group.at_most for group in fitting)


def _workers(group: Mapping[str, Any]) -> Workers:
    """As KubeRay tells Ray: the start parameters, else the container's limits, else its requests."""
    told = group.get("rayStartParams") or {}
    given = ray_container(group).get("resources") or {}
    has = {**(given.get("requests") or {}), **(given.get("limits") or {})}
    return Workers(
        cpus=_number(told.get("num-cpus", has.get("cpu", 0))),
        gpus=_number(told.get("num-gpus", has.get("nvidia.com/gpu", 0))),
        at_most=int(group.get("maxReplicas", 0)),
    )


def _number(quantity: Any) -> float:
    """A quantity of Kubernetes's: 2, "2", or "500m" for a half."""
    text = str(quantity)
    try:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        raise BadInput(f"--cluster: expected a number of CPUs or GPUs, got {text}") from None
