"""Killed at any moment and run again: nothing is lost, nothing doubled, and the table is the same."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from commands import kill, madray, start, trainers_of, wait_for

SWEEP = """
name: patient
chain:
  reference: {kind: gaussian, d: 2}
  generator: {kind: "patient_generator:Patient"}
  loop: fully_synthetic
  n_ini: 250
  n_r: 120
  n_s: 250
  n_eval: 150
  generations: 3
grid:
  loop: [LOOPS]
  lambda: [LAMBDAS]
resources: {checkpoint_seconds: 0.1, concurrent: CONCURRENT, max_failures: 10}
"""
FITS = 9


def write_sweep(folder: Path, *, shuffled: bool, concurrent: int) -> Path:
    text = SWEEP.replace("CONCURRENT", str(concurrent))
    text = text.replace("LOOPS", "fresh_data, fully_synthetic" if shuffled else "fully_synthetic, fresh_data")
    text = text.replace("LAMBDAS", "0.5, 1.0" if shuffled else "1.0, 0.5")
    path = folder / "patient.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The table of a run that nobody killed, with one worker and the cells in another order."""
    folder = tmp_path_factory.mktemp("whole")
    file = write_sweep(folder, shuffled=True, concurrent=1)
    done = madray("sweep", file, "--tracking-uri", "none", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return madray("table", "patient", cwd=folder).stdout


def finished_fits(folder: Path) -> int:
    return len(list((folder / "madray-store" / "generations").glob("*/done.json")))


def checkpoints(folder: Path) -> set[str]:
    """Every checkpoint that counts right now, by its content: a new one means that a fit is under way."""
    found = set()
    for path in (folder / "madray-store" / "work").glob("*/done.json"):
        with contextlib.suppress(OSError):  # the fit may be finished meanwhile
            found.add(path.read_text())
    return found


def run_until(folder: Path, file: Path, *, fits: int, inside: bool, victims: str) -> None:
    """Start the sweep, wait until so many fits are finished (and another one is under way), and kill."""
    before = checkpoints(folder)
    trainers: list[int] = []

    def is_the_moment() -> bool:
        if finished_fits(folder) < fits or (inside and not checkpoints(folder) - before):
            return False
        trainers[:] = trainers_of(driver.pid)
        return bool(trainers)

    driver = start("sweep", file, cwd=folder)
    wait_for(is_the_moment, driver)
    if victims == "trainer":
        kill(*trainers)
        assert driver.wait(timeout=240) == 0, (folder / "output.txt").read_text()
        return
    kill(*([driver.pid] if victims == "driver" else [driver.pid, *trainers]))
    driver.wait()


def check_mlflow(folder: Path, table: str) -> None:
    """Every number of the table is one point, and no run is left RUNNING."""
    with sqlite3.connect(folder / "madray-store" / "mlflow.db") as database:
        states = {state for (state,) in database.execute("SELECT status FROM runs")}
        points = database.execute("SELECT key, step, run_uuid FROM metrics").fetchall()
        runs = database.execute("SELECT COUNT(*) FROM runs").fetchone()[0]
    header, *lines = table.splitlines()
    measured = len(header.split(",")) - len(["loop", "lambda", "seed", "generation"])
    assert states == {"FINISHED"}
    assert runs == 1 + 4
    assert len(points) == len(set(points)) == measured * len(lines)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_killed_at_several_moments_gives_the_table_of_one_never_stopped(
    tmp_path: Path, never_stopped: str
) -> None:
    file = write_sweep(tmp_path, shuffled=False, concurrent=2)
    run_until(tmp_path, file, fits=0, inside=True, victims="driver")
    run_until(tmp_path, file, fits=1, inside=False, victims="both")
    run_until(tmp_path, file, fits=3, inside=True, victims="both")
    run_until(tmp_path, file, fits=5, inside=True, victims="trainer")  # and on to the end
    assert madray("table", "patient", cwd=tmp_path).stdout == never_stopped
    check_mlflow(tmp_path, never_stopped)
    assert finished_fits(tmp_path) == FITS


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_killed_at_random_moments_gives_the_same_table(
    tmp_path: Path, never_stopped: str, seed: int
) -> None:
    chance = random.Random(seed)
    file = write_sweep(tmp_path, shuffled=False, concurrent=2)
    while (fits := finished_fits(tmp_path)) < FITS - 1:
        run_until(
            tmp_path,
            file,
            fits=chance.randint(fits, min(fits + 3, FITS - 1)),
            inside=chance.random() < 0.5,
            victims=chance.choice(["driver", "both"]),
        )
    assert madray("sweep", file, cwd=tmp_path).returncode == 0
    assert madray("table", "patient", cwd=tmp_path).stdout == never_stopped
    check_mlflow(tmp_path, never_stopped)
