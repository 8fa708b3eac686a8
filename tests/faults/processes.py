"""Which processes belong to whom: told by a mark in the environment that they were started with."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CLUSTER = "FAULTS_CLUSTER"
STRIKE = "FAULTS_STRIKE"
_JOB = "RAY_JOB_ID"
_OF_THE_NODE = ("agent", "spill", "restore")
"""Stands in the titles of processes that serve a node and no job, and live as long as it does."""
_TRAINERS = ("ray::Trainer", "ray::ResourceTrainable")  # by its class when idle, else by what it does


@dataclass(frozen=True)
class Found:
    """A process that lives.

    Attributes:
        title: its command line, or what it calls itself.
        variables: the environment that it was started with; some processes write over theirs.
    """

    pid: int
    parent: int
    title: str
    variables: dict[str, str]

    @property
    def is_trainer(self) -> bool:
        return self.title.startswith(_TRAINERS)


def living() -> list[Found]:
    """All processes that can be looked at; none that ended and was not waited for."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                told = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it ended meanwhile, or is somebody else's
                continue
            if state not in "ZX":
                variables = dict(line.split("=", 1) for line in told if "=" in line)
                found.append(Found(int(folder.name), int(parent), title.strip(), variables))
    return found


def workers(cluster: str) -> list[Found]:
    """Ray's worker processes in a cluster: trainers, `Tables`, tasks, idle ones; of living and of lost nodes."""
    everything = living()
    nodes = {each.pid for each in everything if each.variables.get(CLUSTER) == cluster}
    return [
        each
        for each in everything
        if (
            (each.variables.get(CLUSTER) == cluster and _JOB in each.variables)
            or (each.parent in nodes and each.title.startswith("ray::"))
        )
        and not any(name in each.title.lower() for name in _OF_THE_NODE)
    ]


def left_of(strike: str, cluster: str) -> list[Found]:
    """What a strike left: its drivers and helpers, and any worker of a job in its cluster."""
    own = [each for each in living() if each.variables.get(STRIKE) == strike]
    return own + workers(cluster)


def end_group(pid: int) -> None:
    """SIGKILL to a process that leads a group, and to all in it."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
