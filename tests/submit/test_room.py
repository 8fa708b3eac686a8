"""How many trainers a cluster has room for."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from madray.errors import BadInput
from madray.spec.sweep import Resources
from madray.submit import fill_cluster, ray_cluster
from madray.submit.room import trainers_at_most

SWEEP = """
name: small
theory: {kind: limit, d: 2, n_r: 10, n_s: 10}
"""


@pytest.fixture
def cluster() -> dict[str, Any]:
    return ray_cluster(None)


@pytest.mark.parametrize(
    ("resources", "trainers"),
    [
        (Resources(), 7 * 8),  # workers without GPUs only
        (Resources(cpus=2, samplers=1), 2 * 8),
        (Resources(gpus=1), 8),
        (Resources(gpus=0.25), 4 * 8),
        (Resources(cpus=3.5, gpus=0.1), 2 * 8),
    ],
)
def test_trainers_are_counted_on_the_workers_they_fit(
    cluster: dict[str, Any], resources: Resources, trainers: int
) -> None:
    assert trainers_at_most(cluster, resources) == trainers


@pytest.mark.parametrize("resources", [Resources(gpus=2), Resources(cpus=8), Resources(cpus=4, samplers=4)])
def test_a_trainer_that_fits_no_worker_is_refused_and_told_what_there_is(
    cluster: dict[str, Any], resources: Resources
) -> None:
    with pytest.raises(BadInput, match=r"workers of 7 CPUs and 0 GPUs; of 7 CPUs and 1 GPUs"):
        trainers_at_most(cluster, resources)


def test_gpu_workers_serve_where_there_are_no_others(cluster: dict[str, Any]) -> None:
    del cluster["spec"]["workerGroupSpecs"][0]
    assert trainers_at_most(cluster, Resources()) == 7 * 8


def test_what_ray_is_told_goes_before_what_the_container_has(cluster: dict[str, Any]) -> None:
    cpu = cluster["spec"]["workerGroupSpecs"][0]
    cpu["rayStartParams"]["num-cpus"] = "3"
    assert trainers_at_most(cluster, Resources()) == 3 * 8
    del cpu["rayStartParams"]["num-cpus"]
    cpu["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2500m"}}
    assert trainers_at_most(cluster, Resources()) == 2 * 8


def test_a_sweep_is_told_the_room_only_where_the_cluster_grows_and_it_says_nothing_itself(
    cluster: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP)
    assert fill_cluster(path, (), cluster).sweep.resources.concurrent == 56
    assert fill_cluster(path, ["resources.concurrent=3"], cluster).sweep.resources.concurrent == 3
    fixed = copy.deepcopy(cluster)
    fixed["spec"]["enableInTreeAutoscaling"] = False
    assert fill_cluster(path, (), fixed).sweep.resources.concurrent is None
