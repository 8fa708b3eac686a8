"""`ray up` and SkyPilot, against the schemas that Ray and SkyPilot carry; neither was run on a cloud."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CLUSTER = Path(__file__).parents[2] / "cluster"
RAY = yaml.safe_load((CLUSTER / "aws" / "ray.yaml").read_text("utf-8"))
SKY = yaml.safe_load((CLUSTER / "skypilot" / "sweep.yaml").read_text("utf-8"))


def validate_for_ray(config: dict[str, Any]) -> None:
    """As `ray up` does, with the defaults that it fills in."""
    from ray.autoscaler._private.util import fillout_defaults, validate_config

    validate_config(fillout_defaults(copy.deepcopy(config)))


def test_ray_up_takes_the_cluster() -> None:
    validate_for_ray(RAY)


def test_ray_up_would_see_a_mistake() -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate_for_ray({**RAY, "head_type": "head"})


def test_the_head_on_aws_does_no_work_and_is_on_demand_and_workers_are_on_spot() -> None:
    types = dict(RAY["available_node_types"])
    head = types.pop(RAY["head_node_type"])
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert types
    for worker in types.values():
        assert worker["min_workers"] == 0
        assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_ray_on_aws_asks_for_a_token_and_shows_its_dashboard_to_nobody() -> None:
    assert "--env RAY_AUTH_MODE=token" in RAY["docker"]["run_options"]
    assert list(RAY["file_mounts"]) == ["/home/ray/.ray/auth_token"]
    [start] = [command for command in RAY["head_start_ray_commands"] if "--head" in command]
    assert "--dashboard-host=127.0.0.1" in start


def test_skypilot_takes_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    sky = pytest.importorskip(
        "sky", reason="skypilot brings a server and half a gigabyte of packages with it"
    )
    monkeypatch.chdir(CLUSTER.parent)
    task = sky.Task.from_yaml_config(copy.deepcopy(SKY), secrets_overrides=[("RAY_AUTH_TOKEN", "token")])
    assert task.num_nodes == 2
    assert all(resources.use_spot for resources in task.resources)
    with pytest.raises(ValueError):
        sky.Task.from_yaml_config({**SKY, "number_of_nodes": 2})


def test_the_job_on_skypilot_asks_for_a_token_and_leaves_skypilots_own_ray_alone() -> None:
    assert SKY["envs"]["RAY_AUTH_MODE"] == "token"
    assert SKY["secrets"] == {"RAY_AUTH_TOKEN": None}
    commands = "\n".join(line for line in SKY["run"].splitlines() if not line.lstrip().startswith("#"))
    assert "~/sky_templates/ray/start_cluster" in commands
    assert not re.search(r"\bray (stop|start)\b", commands)
    assert SKY["resources"]["job_recovery"]["recover_on_exit_codes"] == [130, 137, 143]
