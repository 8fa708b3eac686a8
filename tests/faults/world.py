"""What stands through all strikes: a Ray cluster of two nodes, an MLflow server, a server that speaks S3."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from commands import environment
from faults.failing import EveryKth
from faults.places import NotPossibleHere, make_bucket
from faults.processes import CLUSTER, end_group
from ray._private.state import GlobalState
from ray._raylet import GcsClientOptions
from ray.cluster_utils import Cluster
from storage.faulty import proxy_before, s3_server

OBJECT_STORE_BYTES = 80 << 20
"""As small as Ray lets it be, so that it is soon full."""
_NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
_PATIENCE_SECONDS = 120.0


def wait_until(happened: Callable[[], bool], what: str, *, seconds: float = _PATIENCE_SECONDS) -> None:
    """Poll until something is so.

    Raises: AssertionError, if that takes longer than `seconds`.
    """
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"expected {what} within {seconds:g} s"
        time.sleep(0.05)


class MlflowServer:
    """`mlflow server` on SQLite, in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "mlflow.db"
        self.artifacts = folder / "mlflow-artifacts"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self._port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is None:
            command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
            command += ["--port", str(self._port), "--backend-store-uri", f"sqlite:///{self.database}"]
            command += ["--artifacts-destination", str(self.artifacts)]
            with (self._folder / "mlflow.log").open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    cwd=self._folder,
                    env={**environment(), "MLFLOW_DISABLE_TELEMETRY": "true"},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        wait_until(self._answers, "the MLflow server to answer")

    def kill(self) -> None:
        """SIGKILL to the server and its workers."""
        if self._process is not None:
            end_group(self._process.pid)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class TwoNodes:
    """A Ray cluster whose second node can be lost. Nobody is connected to it but drivers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "ray"
        logging.getLogger("ray").setLevel(logging.WARNING)
        self._start()

    def _start(self) -> None:
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={**_NODE, "include_dashboard": False, "temp_dir": str(self._folder)},
        )
        self._second = self._cluster.add_node(**_NODE)
        self._lost = False
        self.address = str(self._cluster.address)
        self._accounts = GlobalState()
        self._accounts._initialize_global_state(
            GcsClientOptions.create(
                self.address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False
            )
        )

    def kill_second(self) -> None:
        """SIGKILL to the second node's raylet, whose workers then find out for themselves."""
        [raylet] = self._second.all_processes["raylet"]
        self._lost = True
        os.kill(raylet.process.pid, signal.SIGKILL)

    def restore(self) -> None:
        """Where the second node was lost, clear away what is left of it, and add another."""
        if self._lost:
            self._cluster.remove_node(self._second, allow_graceful=False)
            self._second = self._cluster.add_node(**_NODE)
            self._lost = False

    def is_free(self) -> bool:
        """Whether both nodes have their CPU to give, by Ray's own account."""
        return float(self._accounts.available_resources().get("CPU", 0)) == 2.0

    def renew(self) -> None:
        """Another cluster in the place of this one."""
        self.shutdown()
        self._start()

    def spilled_bytes(self) -> int:
        """How much lies on disk of what the object stores had no room for."""
        folders = self._folder.glob("session_2*/ray_spilled_objects*")
        return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())

    def shutdown(self) -> None:
        self._accounts.disconnect()
        self._cluster.shutdown()


class World:
    """All of it; see `world`.

    Attributes:
        mark: stands in the environment of every process of the cluster.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self._stack = stack
        self._s3: EveryKth | None = None
        # Ray's processes take their environment from this one's, also those of nodes added later.
        variables = {
            **environment(),
            "OMP_NUM_THREADS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            CLUSTER: self.mark,
        }
        stack.enter_context(patch.dict(os.environ, variables, clear=True))
        self.mlflow = MlflowServer(folder)
        stack.callback(self.mlflow.kill)
        self.ray = TwoNodes(folder)
        stack.callback(self.ray.shutdown)
        self.mlflow.start()

    def make_free(self, *, seconds: float = _PATIENCE_SECONDS) -> bool:
        """Wait until nothing holds a CPU of the cluster, and make another one where that does not come.

        A driver that is killed at the wrong moment may leave a CPU set aside for nobody (`madray.engine.groups`).
        Where all are, no sweep can start, nor does the next strike tell anything.

        Returns: whether it was another one.
        """
        try:
            wait_until(self.ray.is_free, "no CPU of the cluster to be held", seconds=seconds)
        except AssertionError:
            self.ray.renew()
            return True
        return False

    def s3(self) -> EveryKth:
        """The proxy before the S3 server, which is started, with a bucket, when somebody first asks.

        Raises: NotPossibleHere, where there is no such server.
        """
        if self._s3 is None:
            try:
                import moto.server  # noqa: F401
            except ImportError:
                raise NotPossibleHere("moto[server] is not installed") from None
            port = self._stack.enter_context(s3_server())
            make_bucket(port)
            self._s3 = self._stack.enter_context(proxy_before(port, EveryKth))
        return self._s3


@contextmanager
def world() -> Iterator[World]:
    """A world in a folder of its own, of which nothing is left in the end."""
    # Not where tests usually write: the paths of Ray's sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield World(folder, stack)
