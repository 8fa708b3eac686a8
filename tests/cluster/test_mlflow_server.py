"""MLflow's server as the manifest starts it: only the database and the folders are others."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from kustomizing import KUBERNETES, containers, documents

PASSWORD = "a long password of a test"
DATABASE = "postgresql+psycopg2://mlflow@mlflow-database:5432/mlflow"


@dataclass
class Server:
    """Where the server answers, and the name by which the cluster knows it."""

    port: int

    def asks(self, path: str, *, host: str, password: str | None = None) -> int:
        """The status of an answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Host": host})
        if password is not None:
            told = base64.b64encode(f"madray:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {told}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("flask_wtf", reason="a server with passwords needs mlflow[auth]: madray[cluster]")
    folder = tmp_path_factory.mktemp("mlflow")
    objects = {each["kind"]: each for each in documents(KUBERNETES / "mlflow" / "server.yaml")}
    [container] = containers([objects["Deployment"]])
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        made = Server(opened.getsockname()[1])
    instead = {
        DATABASE: f"sqlite:///{folder}/mlflow.db",
        "=/artifacts": f"={folder}/artifacts",
        "0.0.0.0": "127.0.0.1",
        "5000": str(made.port),
    }
    words = [*container["command"], *container["args"]]
    config = objects["ConfigMap"]["data"]["basic_auth.ini"]
    assert DATABASE in config
    for old, new in instead.items():
        assert any(old in word for word in words), old
        words = [word.replace(old, new) for word in words]
        config = config.replace(old, new)
    (folder / "basic_auth.ini").write_text(config)
    secrets = {"password": PASSWORD, "username": "madray", "secret-key": "a key of a test"}
    variables = {
        each["name"]: each.get("value") or secrets[each["valueFrom"]["secretKeyRef"]["key"]]
        for each in container["env"]
    }
    variables["MLFLOW_AUTH_CONFIG_PATH"] = f"{folder}/basic_auth.ini"
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env={**os.environ, **variables}, stdout=output, stderr=output
        )
    try:
        until = time.monotonic() + 120
        while made.asks("/health", host="10.1.2.3:5000") != 200:
            assert process.poll() is None and time.monotonic() < until, (folder / "output.txt").read_text()
            time.sleep(0.2)
        yield made
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_mlflow_answers_who_knows_the_password_and_calls_it_by_its_name(server: Server) -> None:
    """It takes a quarter of a minute: MLflow makes two databases and starts two workers."""
    name, path = f"mlflow:{server.port}", "/api/2.0/mlflow/experiments/search?max_results=1"
    assert server.asks(path, host=name, password=PASSWORD) == 200
    assert server.asks(path, host=f"localhost:{server.port}", password=PASSWORD) == 200
    assert server.asks(path, host=name) == 401
    assert server.asks(path, host=name, password="another") == 401
    assert server.asks(path, host=f"evil.example:{server.port}", password=PASSWORD) == 403
    assert server.asks("/", host=name) == 401
