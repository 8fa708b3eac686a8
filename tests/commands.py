"""Runs the madray command in processes of its own, and kills them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from madray.cli import app

PLUGINS = Path(__file__).parent / "plugins"
LIMIT_SECONDS = 240


def environment() -> dict[str, str]:
    """The environment of a command: plug-ins can be imported, and nothing of the user's leaks in."""
    left_out = ("MADRAY_", "MLFLOW_TRACKING_URI", "RAY_ADDRESS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    root = Path(__file__).parents[1]
    path = [str(PLUGINS), str(root), kept.get("PYTHONPATH", "")]
    return {**kept, "PYTHONPATH": os.pathsep.join(part for part in path if part)}


def madray(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "madray", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def madray_here(*arguments: object, cwd: Path) -> Result:
    """Run a command in this process, on the Ray that it is connected to: that saves starting one."""
    with contextlib.chdir(cwd):
        return CliRunner().invoke(app, [*map(str, arguments)])


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start a command in a process group of its own; its output goes to `output.txt`."""
    command = [sys.executable, "-m", "madray", *map(str, arguments)]
    with (cwd / "output.txt").open("a") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(),
            text=True,
            stdout=output,
            stderr=output,
            process_group=0,
        )


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something has happened, while a process runs."""
    until = time.monotonic() + LIMIT_SECONDS
    while not happened():
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError("expected it to happen before the process ended")
        time.sleep(0.005)


def trainers_of(driver: int) -> list[int]:
    """The processes of the trainer actors below a driver."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(folder.name)] = (folder / "cmdline").read_text()
            except (OSError, ValueError):
                continue
    # Ray titles an actor by its class when it is idle, and by what it does while it does it.
    titles = ("ray::Trainer", "ray::ResourceTrainable")
    return [
        pid for pid, name in names.items() if name.startswith(titles) and driver in _ancestors(pid, parents)
    ]


def kill(*pids: int) -> None:
    """SIGKILL, all at once."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    found = set()
    while pid in parents and pid not in found:
        found.add(pid)
        pid = parents[pid]
    return found
