"""A sweep that is told to leave, as a spot instance is: it checkpoints, goes in time, and goes on later."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from commands import PLUGINS, madray, start, wait_for

from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.stopping import asked_to_stop, handlers_kept, interruptible
from madray.engine.sweep import run
from madray.engine.trainer import watch_for_notice
from madray.running import Nothing
from madray.spec.reading import read_sweep
from madray.store import Store
from madray.table import table, to_csv

SWEEP = """
name: patient
chain:
  reference: {kind: gaussian, d: 2}
  generator: {kind: "patient_generator:Patient", steps: 60}
  loop: fresh_data
  n_ini: 100
  n_r: 50
  n_s: 100
  n_eval: 50
  generations: 2
grid:
  lambda: [1.0, 0.5]
resources: {checkpoint_seconds: 1000, concurrent: 2}
"""
LEAVES_WITHIN_SECONDS = 25


def never_stopped(file: Path, folder: Path) -> str:
    """The table of the same sweep, made in this process without its pauses."""
    prepared = prepare(read_sweep(file, ()), store=Store.open(folder), data=None)
    with patch("patient_generator.time", SimpleNamespace(sleep=lambda seconds: None)):
        outcome = run(prepared, executor=execute_here, display=Nothing())
    return to_csv(table(prepared.record, outcome.rows)).decode()


def finished(folder: Path) -> int:
    """How many generations `madray status` says are finished, while the sweep runs."""
    told = madray("status", "patient", "--json", "--store", folder / "madray-store", cwd=folder)
    return int(json.loads(told.stdout)["generations"]["finished"]) if told.returncode == 0 else 0


def checkpoints(folder: Path) -> list[int]:
    """The steps at which fits left a checkpoint."""
    found = (folder / "madray-store" / "work").glob("*/*/step.json")
    return [json.loads(path.read_text())["step"] for path in found]


@pytest.mark.timeout(400)
def test_a_sweep_that_is_told_to_leave_checkpoints_and_goes_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(PLUGINS))
    file = tmp_path / "patient.yaml"
    file.write_text(SWEEP)
    driver = start("sweep", file, cwd=tmp_path)
    wait_for(lambda: finished(tmp_path) > 0, driver)
    assert checkpoints(tmp_path) == []  # none is due for a quarter of an hour
    time.sleep(1.0)  # so that the next fits are under way
    told = time.monotonic()
    os.killpg(driver.pid, signal.SIGTERM)  # all in its group, as `timeout` and many supervisors do
    assert driver.wait(timeout=120) == 130
    assert time.monotonic() - told < LEAVES_WITHIN_SECONDS
    output = (tmp_path / "output.txt").read_text()
    assert "go on with: madray resume patient" in output
    assert "Traceback" not in output
    left = checkpoints(tmp_path)
    assert left
    assert all(0 < step < 60 for step in left)
    with sqlite3.connect(tmp_path / "madray-store" / "mlflow.db") as database:
        assert "RUNNING" not in {state for (state,) in database.execute("SELECT status FROM runs")}

    assert madray("resume", "patient", cwd=tmp_path).returncode == 0
    assert checkpoints(tmp_path) == []
    assert madray("table", "patient", cwd=tmp_path).stdout == never_stopped(file, tmp_path / "whole")


def test_a_sweep_that_is_told_to_leave_while_ray_starts_goes_at_once(tmp_path: Path) -> None:
    file = tmp_path / "patient.yaml"
    file.write_text(SWEEP)
    driver = start("sweep", file, "--tracking-uri", "none", cwd=tmp_path)
    wait_for(lambda: "fits remain" in (tmp_path / "output.txt").read_text(), driver)
    time.sleep(0.5)  # so that Ray has set a handler of its own
    os.killpg(driver.pid, signal.SIGTERM)
    assert driver.wait(timeout=120) == 130
    assert "Traceback" not in (tmp_path / "output.txt").read_text()


HANGS = """
import os, signal, sys, time
from madray.engine import stopping
stopping.GONE_SECONDS = 0.2
with stopping.{}():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)
    except KeyboardInterrupt:
        pass
    time.sleep(60)
"""


@pytest.mark.parametrize("manager", ["interruptible", "asked_to_stop"])
def test_who_was_told_to_leave_is_gone_in_time_whatever_hangs(manager: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGS.format(manager)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stderr) == (130, "madray: stopped; run it again to go on\n")


def test_handlers_that_ray_sets_do_not_stay_and_its_exit_is_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), handlers_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(15)
    assert signal.getsignal(signal.SIGTERM) is before
    with interruptible(), asked_to_stop() as asked:
        assert not asked.is_set()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_file_that_appears_is_a_notice(tmp_path: Path) -> None:
    told = threading.Event()
    watch = threading.Thread(target=watch_for_notice, args=(tmp_path / "leave", told.set), daemon=True)
    watch.start()
    assert not told.wait(1)
    (tmp_path / "leave").touch()
    assert told.wait(10)
