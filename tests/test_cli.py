"""The command line: what a second run costs, and how bad input is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import madray

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SWEEP)
    return tmp_path


BAD = {
    "--set=grid.lambda=[2.0]": "grid.lambda: expected λ in [0, 1] for gaussian, got 2.0",
    "--set=chain.generator=gausian": "chain.generator: expected a known generator or an import path, got 'gausian'; "
    "did you mean gaussian?",
    "--set=chain.n_ini=0": "chain.n_ini: expected a number above 0, got 0",
    "--set=chain.reference=mnist": "chain.reference:",
    "--set=chain.metrics=['nowhere:Metric']": "No module named 'nowhere'",
    "--store=nowhere://x": "--store: expected a folder or a URI",
    "--tracking-uri=nowhere://x": "tracking",
}


@pytest.mark.parametrize("option", list(BAD))
def test_bad_input_ends_with_2_and_one_line_before_anything_is_made(folder: Path, option: str) -> None:
    done = madray("sweep", "small.yaml", option, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert BAD[option] in done.stderr
    assert not (folder / "madray-store" / "generations").exists()
    assert not (folder / "madray-store" / "bundles").exists()


def test_a_store_that_cannot_be_written_is_refused(folder: Path) -> None:
    (folder / "occupied").write_text("a file, where a folder should be")
    done = madray("sweep", "small.yaml", "--store", "occupied", cwd=folder)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--store" in done.stderr
    assert (folder / "occupied").read_text() == "a file, where a folder should be"


def test_a_dry_run_counts_and_writes_nothing(folder: Path) -> None:
    done = madray("sweep", "small.yaml", "--dry-run", cwd=folder)
    assert done.returncode == 0
    assert "2 chains, 3 generations (1 more are shared), 0 in the store, 3 fits remain" in done.stdout
    assert not (folder / "madray-store").exists()


def test_help_names_every_command(folder: Path) -> None:
    told = madray("--help", cwd=folder).stdout
    assert all(command in told for command in ("sweep", "resume", "status", "table", "schema"))


def test_an_unknown_sweep_is_answered_with_the_known_ones(folder: Path) -> None:
    done = madray("table", "nothing", cwd=folder)
    assert done.returncode == 2
    assert "expected the name of a sweep" in done.stderr
