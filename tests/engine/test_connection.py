"""Whom a Ray lets in, and what is said where a connection fails: one line, before work starts."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray
from commands import environment
from ray._private.utils import check_version_info

from madray.engine.connection import refusal

HEAD = """
import sys
from madray.engine.connection import connected
from madray.spec.sweep import Resources
import ray
with connected(None, Resources()):
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
"""
"""A local Ray as `madray sweep` starts it, for as long as its standard input is open."""

PRETENDING = "import ray; ray.__version__ = {!r}; from madray.cli import main; main()"

SWEEP = """
name: small
chain:
  reference: {kind: gaussian, d: 2}
  generator: gaussian
  loop: fully_synthetic
  n_ini: 100
  n_s: 60
  n_eval: 50
  generations: 1
"""


@dataclass
class Head:
    address: str
    token: str
    home: Path


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    home, token = tmp_path_factory.mktemp("home"), secrets.token_hex(32)
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD],
        env=own_environment(home, RAY_AUTH_TOKEN=token, RAY_AUTH_MODE="disabled"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Head(process.stdout.readline().strip(), token, home)
    finally:
        process.stdin.close()
        process.wait(60)


def own_environment(home: Path, **more: str) -> dict[str, str]:
    """Without tokens of the user's, and with Ray's patience cut from 20 s to 2."""
    kept = {name: value for name, value in environment().items() if not name.startswith("RAY_AUTH")}
    return {**kept, "HOME": str(home), "RAY_gcs_server_port_wait_time_s": "2", **more}


def sweep(
    address: str, folder: Path, *, pretend: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`madray sweep --address`, perhaps of another version of Ray's."""
    file = folder / "small.yaml"
    file.write_text(SWEEP)
    begin = ["-m", "madray"] if pretend is None else ["-c", PRETENDING.format(pretend)]
    arguments = ["sweep", str(file), "--address", address, "--tracking-uri", "none"]
    return subprocess.run(
        [sys.executable, *begin, *arguments],
        cwd=folder,
        env=own_environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def the_line(told: subprocess.CompletedProcess[str]) -> str:
    assert told.returncode == 2, told.stderr
    assert told.stderr.count("\n") == 1, told.stderr
    assert told.stderr.startswith("madray: --address: expected ")
    assert "; try " in told.stderr
    return told.stderr


def test_a_local_ray_asks_for_a_token_even_where_the_user_turned_that_off(head: Head, tmp_path: Path) -> None:
    for variables in ({}, {"RAY_AUTH_MODE": "disabled"}):
        assert "expected the token of the Ray cluster at" in the_line(
            sweep(head.address, tmp_path, **variables)
        )
    right = sweep(head.address, tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=head.token)
    assert right.returncode == 0, right.stderr  # so that it is the token which the others lack


def test_a_wrong_token_and_none_are_told_in_one_line_without_the_token(head: Head, tmp_path: Path) -> None:
    wrong = secrets.token_hex(32)
    told = the_line(sweep(head.address, tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=wrong))
    assert f"expected the token of the Ray cluster at {head.address}, got another or none" in told
    assert wrong not in told
    assert "got another or none" in the_line(sweep(head.address, tmp_path, RAY_AUTH_MODE="token"))


def test_another_version_of_ray_is_told_with_both(head: Head, tmp_path: Path) -> None:
    told = the_line(
        sweep(head.address, tmp_path, pretend="2.1.0", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=head.token)
    )
    assert "expected a cluster of Ray 2.1.0 and Python " in told
    assert f"got Ray {ray.__version__} and Python " in told


def test_a_token_of_our_own_is_written_to_no_file(head: Head, tmp_path: Path) -> None:
    code = (
        "from madray.engine.connection import _ask_for_a_token; import os; _ask_for_a_token(); "
        "print(len(os.environ['RAY_AUTH_TOKEN']), 'RAY_AUTH_MODE' in os.environ)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=own_environment(tmp_path, RAY_AUTH_MODE="disabled"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["64", "False"]
    assert not (tmp_path / ".ray").exists()
    assert not (head.home / ".ray").exists()  # where a whole Ray was started


def test_an_address_where_nobody_listens_is_told_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and does not listen
        began = time.monotonic()
        told = the_line(sweep(f"127.0.0.1:{free.getsockname()[1]}", tmp_path))
    assert "Connection refused" in told
    assert time.monotonic() - began < 60  # 5 s of waiting; the rest is Python's imports on a busy machine


def test_nothing_is_lost_by_a_refusal(tmp_path: Path) -> None:
    the_line(sweep("nobody.invalid:6379", tmp_path))
    assert not list((tmp_path / "madray-store").glob("generations/*"))
    file = tmp_path / "small.yaml"
    again = subprocess.run(
        [sys.executable, "-m", "madray", "sweep", str(file), "--dry-run"],
        cwd=tmp_path,
        env=own_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr


def test_what_ray_says_of_versions_is_understood_for_python_as_well() -> None:
    there = {"ray_version": ray.__version__, "python_version": "3.9.1"}
    with pytest.raises(RuntimeError) as raised:
        check_version_info(there, "node 1.2.3.4")
    told = str(refusal("1.2.3.4:6379", raised.value))
    assert f"got Ray {ray.__version__} and Python 3.9.1 at 1.2.3.4:6379; try " in told
    assert "\n" not in told


def test_a_local_ray_that_does_not_start_is_one_line_and_may_be_tried_again() -> None:
    error = Exception("The current node timed out during startup. This could happen because …\n of this.")
    told = refusal(None, error)
    assert told.exit_code == 1
    assert str(told).startswith(
        "expected a local Ray to start, got: The current node timed out during startup;"
    )
    assert "\n" not in str(told)
