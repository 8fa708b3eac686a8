"""A sweep that goes on and is refused on the way leaves no run RUNNING."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from commands import madray

SWEEP = """
name: small
chain: {reference: {kind: gaussian, d: 2}, generator: gaussian, loop: fully_synthetic, n_ini: 20, n_s: 20, generations: 2}
"""


def states(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "madray-store" / "mlflow.db") as database:
        return [state for (state,) in database.execute("SELECT status FROM runs")]


@pytest.mark.slow
def test_a_sweep_that_is_refused_when_it_goes_on_leaves_no_run_running(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SWEEP)
    refused = madray("sweep", "small.yaml", "--set", "resources.gpus=7", cwd=tmp_path)
    assert refused.returncode == 2
    assert not (tmp_path / "madray-store" / "mlflow.db").exists() or states(tmp_path) == []
    assert madray("sweep", "small.yaml", cwd=tmp_path).returncode == 0
    longer = ["--set", "chain.generations=3", "--set", "resources.gpus=7"]
    refused = madray("sweep", "small.yaml", *longer, cwd=tmp_path)
    assert refused.returncode == 2
    assert "1 GPU" in refused.stderr or "7 GPU" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert states(tmp_path) == ["KILLED", "KILLED"]
