"""Two drivers that make MLflow's database at the same moment leave one that works."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from commands import environment

CONNECT = """
import sys, time
import mlflow
from madray.tracking.client import connect
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
client = connect(sys.argv[1])
try:
    client.create_experiment("one")
except Exception:
    assert client.get_experiment_by_name("one") is not None
"""


def test_a_database_that_several_processes_make_at_once_works(tmp_path: Path) -> None:

    uri, begin = f"sqlite:///{tmp_path}/mlflow.db", time.time() + 8
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", CONNECT, uri, str(begin)],
            env=environment(),
            text=True,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    told = [driver.communicate(timeout=200)[1] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0, 0], told
