"""What a node does when it has to go: its fits leave checkpoints, its driver ends in good order.

The commands run here as they stand in the manifests, on processes of the test's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from kuberay import groups
from kustomizing import Object
from rendered import things

from madray.submit import ray_cluster

CLUSTER = Path(__file__).parents[2] / "cluster"
AWS = yaml.safe_load((CLUSTER / "aws" / "ray.yaml").read_text("utf-8"))
SKY = yaml.safe_load((CLUSTER / "skypilot" / "sweep.yaml").read_text("utf-8"))

LEAVE = "MADRAY_LEAVE_FILE"
STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"
DRIVER_LEAVES_WITHIN_SECONDS = 25
RAY_DRAINS_FOR_SECONDS = 30  # RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S, after SIGTERM


def variables(group: Object) -> dict[str, str | None]:
    """What the Ray container of a group has in its environment."""
    env = group["template"]["spec"]["containers"][0]["env"]
    return {each["name"]: each.get("value") for each in env}


def pre_stop(group: Object) -> list[str]:
    """What runs in the Ray container before it is told to stop."""
    command: list[str] = group["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    return command


def head_and_worker() -> tuple[Object, Object]:
    first, second, *_ = groups(ray_cluster(None))
    return first, second


def path_with(folder: Path, **scripts: str) -> str:
    """A PATH on which these scripts stand before all else."""
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def wait_for(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.02)


def test_ray_gives_a_job_that_it_stops_the_time_that_a_driver_takes() -> None:
    wanted = [variables(groups(thing)[0])[STOP_WAIT] for thing in things()]
    wanted.append(SKY["envs"][STOP_WAIT])
    options = dict(each.removeprefix("--env ").split("=", 1) for each in AWS["docker"]["run_options"])
    wanted.append(options[STOP_WAIT])
    assert set(wanted) == {"28"}
    assert int("28") > DRIVER_LEAVES_WITHIN_SECONDS
    spec = find_spec("ray")
    assert spec is not None and spec.origin is not None
    supervisor = Path(spec.origin).parent / "dashboard" / "modules" / "job" / "job_supervisor.py"
    assert f'"{STOP_WAIT}"' in supervisor.read_text("utf-8")


def test_every_worker_tells_its_fits_that_it_goes_and_has_the_time_to() -> None:
    for thing in things():
        head, *workers = groups(thing)
        assert workers
        for group in workers:
            assert variables(group)[LEAVE] == "/tmp/madray-leave"
            mounts = group["template"]["spec"]["containers"][0]["volumeMounts"]
            # On a volume the file would outlive a container that starts again.
            assert not [each for each in mounts if "/tmp/madray-leave".startswith(each["mountPath"] + "/")]
            assert pre_stop(group) == ["/bin/sh", "-c", 'touch "$MADRAY_LEAVE_FILE" && sleep 20']
            grace = group["template"]["spec"]["terminationGracePeriodSeconds"]
            assert grace >= 20 + RAY_DRAINS_FOR_SECONDS
        grace = head["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace >= DRIVER_LEAVES_WITHIN_SECONDS + RAY_DRAINS_FOR_SECONDS


def test_the_leave_file_can_be_written_where_the_worker_runs() -> None:
    for thing in things():
        for group in groups(thing)[1:]:
            security = group["template"]["spec"]["containers"][0]["securityContext"]
            assert not security.get("readOnlyRootFilesystem", False)  # /tmp of the image is everybody's


def test_the_hook_of_a_worker_tells_first_and_waits_then(tmp_path: Path) -> None:
    file, waited = tmp_path / "leave", tmp_path / "waited"
    sleep = f'#!/bin/sh\ntest -e "{file}" && echo "$1" > "{waited}"\n'
    environment = {**os.environ, LEAVE: str(file), "PATH": path_with(tmp_path / "bin", sleep=sleep)}
    done = subprocess.run(pre_stop(head_and_worker()[1]), env=environment, check=False)
    assert done.returncode == 0
    assert waited.read_text() == "20\n"


DRIVER = """#!{python}
import signal, sys, time
from pathlib import Path

def told(number, frame):
    Path("{folder}/told").open("a").write("told\\n")
    time.sleep(1.2)
    Path("{folder}/left").touch()
    sys.exit(130)

signal.signal(signal.SIGTERM, told)
Path("{folder}/started").touch()
time.sleep(60)
"""

# Only what is in the session of the test's own driver is looked at, and only that is told anything.
IN_SESSION = '#!/bin/sh\nexec {program} -s "$DRIVERS_SESSION" "$@"\n'


@pytest.fixture
def only_ours(tmp_path: Path) -> str:
    """A PATH whose pgrep and pkill see one session alone: that of the environment's DRIVERS_SESSION."""
    programs = {name: shutil.which(name) for name in ("pkill", "pgrep")}
    if None in programs.values():
        pytest.skip("needs pkill and pgrep of procps, as the image has them")
    scripts = {name: IN_SESSION.format(program=program) for name, program in programs.items()}
    return path_with(tmp_path / "bin", **scripts)


@pytest.mark.parametrize(
    "started_as", ["madray sweep /etc/madray/sweep.yaml", "madray resume small --store /s"]
)
def test_the_hook_of_the_head_tells_the_driver_alone_and_waits_until_it_has_left(
    tmp_path: Path, only_ours: str, started_as: str
) -> None:
    """The shell that Ray starts a driver from lives on: what it says of the driver's end is what Ray hears."""
    driver = DRIVER.format(python=sys.executable, folder=tmp_path)
    path = path_with(tmp_path / "scripts", madray=driver)
    started = subprocess.Popen(
        ["/bin/sh", "-c", f"{started_as}; code=$?; echo $code > {tmp_path}/code; exit $code"],
        env={**os.environ, "PATH": path},
        start_new_session=True,
    )
    try:
        wait_for(tmp_path / "started")
        environment = {**os.environ, "PATH": only_ours, "DRIVERS_SESSION": str(started.pid)}
        began = time.monotonic()
        done = subprocess.run(
            pre_stop(head_and_worker()[0]), env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "left").exists(), "the hook did not wait for the driver"
        assert time.monotonic() - began < 15, "the hook went on waiting"
        assert (tmp_path / "told").read_text() == "told\n"
        assert started.wait(20) == 130
        assert (tmp_path / "code").read_text() == "130\n"
    finally:
        if started.poll() is None:
            os.killpg(started.pid, 9)
            started.wait(20)


def test_the_hook_of_a_head_without_a_driver_does_not_wait(tmp_path: Path, only_ours: str) -> None:
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", "madray", "status"], start_new_session=True
    )
    try:
        environment = {**os.environ, "PATH": only_ours, "DRIVERS_SESSION": str(bystander.pid)}
        began = time.monotonic()
        done = subprocess.run(pre_stop(head_and_worker()[0]), env=environment, check=False)
        assert done.returncode == 0
        assert time.monotonic() - began < 10
        assert bystander.poll() is None, "another process than a driver was told to stop"
    finally:
        bystander.kill()
        bystander.wait(20)


def test_the_image_has_what_the_hooks_call() -> None:
    dockerfile = (CLUSTER / "Dockerfile").read_text("utf-8")
    [installed] = [line for line in dockerfile.splitlines() if "apt-get install" in line]
    assert {"procps", "wget"} <= set(installed.split())  # pkill and pgrep; what asks AWS


class Metadata(HTTPServer):
    """As an instance of AWS is told of itself: a token for who asks by PUT, and a notice when it has to go."""

    notice = False
    asked = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MetadataAnswers)


class MetadataAnswers(BaseHTTPRequestHandler):
    server: Metadata

    def do_PUT(self) -> None:
        known = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(200 if known else 404, b"a token of a test")

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != "a token of a test":
            self.answer(401, b"")
        elif self.path == "/latest/meta-data/spot/instance-action" and self.server.notice:
            self.answer(200, b'{"action": "terminate", "time": "2026-01-01T00:02:00Z"}')
        else:
            self.server.asked += 1
            self.answer(404, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with Metadata() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.skipif(shutil.which("wget") is None, reason="needs wget, as the image has it")
def test_a_spot_notice_of_aws_reaches_the_fits(tmp_path: Path, metadata: Metadata) -> None:
    [watch] = [each for each in AWS["worker_start_ray_commands"] if "spot/instance-action" in each]
    assert watch.count("http://169.254.169.254/latest") == watch.count("sleep 5;") == 1
    wanted = tmp_path / "wanted"
    wanted.touch()
    changes = {
        "169.254.169.254": f"127.0.0.1:{metadata.server_port}",
        "sleep 5;": f"sleep 0.1; [ -e {wanted} ] || exit;",
    }
    for old, new in changes.items():
        watch = watch.replace(old, new)
    file = tmp_path / "leave"
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    try:
        # Ray puts a command into parentheses, behind others.
        subprocess.run(
            ["bash", "-c", f"true && ({watch})"],
            env={**environment, LEAVE: str(file)},
            timeout=20,
            check=True,
        )
        until = time.monotonic() + 20
        while metadata.asked < 2:
            assert time.monotonic() < until, "nobody asks for a notice"
            time.sleep(0.02)
        assert not file.exists()
        metadata.notice = True
        wait_for(file)
    finally:
        wanted.unlink()  # which ends what watches, whatever became of it


def test_a_spot_notice_of_aws_is_watched_for_on_workers_alone() -> None:
    assert not [each for each in AWS["head_start_ray_commands"] if "instance-action" in each]
    assert f"--env {LEAVE}=/tmp/madray-leave" in AWS["docker"]["run_options"]
