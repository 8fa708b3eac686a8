"""The benchmark of scale, made small: it runs, and what it tells is of what it made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment

BENCH = Path(__file__).parents[2] / "analysis" / "bench" / "engine_scale.py"


@pytest.mark.slow
def test_a_small_benchmark_of_scale_makes_every_cell_once_and_has_nothing_to_do_again(tmp_path: Path) -> None:
    options = ["--cells", "50", "--generations", "2", "--tasks", "4", "--seconds", "0.1", "--nodes", "2"]
    ran = subprocess.run(
        [sys.executable, str(BENCH), "cells", "uneven", *options],
        cwd=tmp_path,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = {line[:32].strip(): line[32:].strip() for line in ran.stdout.splitlines()}
    # G^1 is shared by the 50 cells of the one seed.
    assert told["50 cells, 100 rows"].endswith("0 in the store, 51 fits remain")
    assert told["a second run"].endswith("51 in the store, 0 fits remain")
    made = [int(part.split(" of ")[0]) for part in told["made by each"].split(", ")]
    assert sum(made) == 4
