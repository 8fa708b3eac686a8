"""A sweep as a job of a real Ray head with token authentication, started as on a cluster by `ray start`."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import environment, madray

from madray.submit import Errand, ray_cluster
from madray.submit.ray_jobs import entrypoint
from madray.submit.raycluster import groups, ray_container

SWEEP = """
name: small
chain:
  reference: {kind: gaussian, d: 2}
  generator: gaussian
  loop: fully_synthetic
  n_ini: 50
  n_s: 50
  generations: 2
grid:
  lambda: [1.0, 0.5]
"""

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def test_the_entry_point_survives_the_shell_of_the_cluster() -> None:
    errand = Errand(
        "small", SWEEP, "s3://bucket/it's here?a=b&c=$d", "http://mlflow:5000", "/data/sets", "1/2"
    )
    options = ["--store", errand.store, "--tracking-uri", "http://mlflow:5000", "--data", "/data/sets"]
    options += ["--shard", "1/2"]
    assert shlex.split(entrypoint(errand)) == ["madray", "sweep", "sweep.yaml", *options]


@dataclass
class Head:
    """A Ray head: where its dashboard is, and what it wants to hear."""

    address: str
    token: str

    def variables(self) -> dict[str, str]:
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def job(self, command: str, *arguments: str) -> str:
        """What `ray job …` says."""
        done = subprocess.run(
            [*RAY, "job", command, "--address", self.address, *arguments],
            env={**environment(), **self.variables()},
            text=True,
            capture_output=True,
            timeout=200,
            check=False,
        )
        return done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=2)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return False  # it answers without a token


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    pytest.importorskip("aiohttp_cors", reason="a head that takes jobs needs ray[default]: madray[cluster]")
    made = Head(f"http://127.0.0.1:{free_port()}", secrets.token_hex(16))
    folder = tempfile.mkdtemp(prefix="head")  # a short path: Ray keeps sockets in it
    command = [*RAY, "start", "--head", "--block", "--num-cpus=2", "--port=0", "--dashboard-host=127.0.0.1"]
    command += [f"--dashboard-port={made.address.rpartition(':')[2]}", f"--temp-dir={folder}"]
    command += [
        f"--{name}={free_port()}" for name in ("dashboard-agent-listen-port", "ray-client-server-port")
    ]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    set_there = ray_container(groups(ray_cluster(None))[0])["env"]
    variables = {**environment(), **made.variables(), "PATH": path}
    variables |= {each["name"]: each["value"] for each in set_there}
    with Path(folder, "output.txt").open("w") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
    try:
        until = time.monotonic() + 90
        while not answers(made.address):
            assert process.poll() is None and time.monotonic() < until, Path(folder, "output.txt").read_text()
            time.sleep(0.2)
        yield made
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_sweep_runs_as_a_job_and_goes_on_where_one_was(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a minute: each job starts a driver of its own, and the sweep runs here as well."""
    (tmp_path / "small.yaml").write_text(SWEEP)
    submit = ("submit", "small.yaml", "--ray-jobs", head.address, "--store", tmp_path / "far")

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    refused = madray(*submit, cwd=tmp_path)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "expected the token of the cluster" in refused.stderr

    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")  # where nothing is: the option goes before it
    logs = []
    for _ in range(2):
        done = madray(*submit, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        job = done.stdout.split()[1].rstrip(";")
        logs.append(head.job("logs", "--follow", job))
        assert "succeeded" in head.job("status", job), logs[-1]
    assert "3 fits remain" in logs[0]
    assert "3 in the store" in logs[1]

    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ADDRESS"):
        monkeypatch.delenv(name)
    here = madray("sweep", "small.yaml", "--store", tmp_path / "near", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    tables = [
        madray("table", "small", "--store", tmp_path / store, cwd=tmp_path).stdout
        for store in ("far", "near")
    ]
    assert tables[0] == tables[1]
    assert len(tables[0].splitlines()) == 5
    written = [path for path in (tmp_path / "far").rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in written)
    assert not [path for path in written if head.token.encode() in path.read_bytes()]


SLOW_TO_LEAVE = """
import pathlib, signal, sys, time

def leave(number, frame):
    time.sleep(6)
    pathlib.Path(sys.argv[1], "left").touch()
    sys.exit(130)

signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1], "started").touch()
time.sleep(120)
"""


@pytest.mark.slow
def test_a_job_that_is_stopped_has_the_time_that_a_driver_takes_to_leave(head: Head, tmp_path: Path) -> None:
    """By itself Ray kills it 3 s after SIGTERM: the head has the environment of our manifest. Half a minute."""
    (tmp_path / "slow.py").write_text(SLOW_TO_LEAVE)
    command = [sys.executable, str(tmp_path / "slow.py"), str(tmp_path)]
    told = head.job("submit", "--no-wait", "--submission-id", "slow-to-leave", "--", *command)
    until = time.monotonic() + 90
    while not (tmp_path / "started").exists():
        assert "successfully" in told and time.monotonic() < until, told
        time.sleep(0.2)
    told = head.job("stop", "slow-to-leave")
    assert (tmp_path / "left").exists(), told
    assert "stopped" in head.job("status", "slow-to-leave").lower()
