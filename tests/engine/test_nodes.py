"""A sweep that asks for what no node has says so, and what the cluster has: at once, or after a while."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from madray.engine import nodes
from madray.engine.nodes import Waiting, refuse_what_no_node_has
from madray.errors import BadInput
from madray.spec.sweep import Resources

SMALL = [{"CPU": 2.0}]


def have(monkeypatch: pytest.MonkeyPatch, there: Sequence[dict[str, float]]) -> None:
    monkeypatch.setattr(nodes, "_nodes", lambda: there)


@pytest.mark.parametrize("concurrent", [None, 4])
def test_a_ray_that_never_grows_refuses_whatever_the_file_says(
    monkeypatch: pytest.MonkeyPatch, concurrent: int | None
) -> None:
    have(monkeypatch, SMALL)
    with pytest.raises(BadInput) as caught:
        refuse_what_no_node_has(Resources(gpus=1, concurrent=concurrent), grows=False)
    assert str(caught.value) == (
        "resources: expected a node with 1 CPU and 1 GPU for a trainer, the cluster has 1 × (2 CPU, 0 GPU); "
        "try resources.gpus=0"
    )
    refuse_what_no_node_has(Resources(concurrent=concurrent), grows=False)


def test_a_cluster_may_grow_where_the_file_says_how_many_trainers_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have(monkeypatch, SMALL)
    refuse_what_no_node_has(Resources(gpus=1, concurrent=4), grows=True)
    with pytest.raises(BadInput, match=r"or resources\.concurrent where the cluster grows by itself"):
        refuse_what_no_node_has(Resources(gpus=1), grows=True)


def test_who_waits_for_a_minute_is_told_once_what_the_cluster_has() -> None:
    now = 0.0
    there = list(SMALL)
    waiting = Waiting(Resources(gpus=1, concurrent=1), nodes=lambda: there, now_seconds=lambda: now)
    assert waiting.told() is None
    now = 59.0
    assert waiting.told() is None
    now = 60.0
    assert waiting.told() == (
        "no trainer has begun for 60 s: expected a node with 1 CPU and 1 GPU for a trainer, "
        "the cluster has 1 × (2 CPU, 0 GPU); try resources.gpus=0"
    )
    now = 500.0
    assert waiting.told() is None


def test_who_waits_beside_busy_nodes_is_told_that() -> None:
    now = 0.0
    waiting = Waiting(Resources(concurrent=1), nodes=lambda: SMALL, now_seconds=lambda: now)
    now = 61.0
    assert waiting.told() == "no trainer has begun for 60 s: all nodes are busy"
