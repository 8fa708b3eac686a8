"""Struck at a random moment, whatever by, and run again: nothing is lost, nothing doubled, nothing left behind.

Five strikes here; more of them, of all kinds: `cd tests && python -m faults --strikes 25`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faults.campaign import Campaign
from faults.checks import (
    Undisturbed,
    broken_promises,
    garbage_problems,
    process_problems,
    table_problems,
    tracking_problems,
    undisturbed,
)
from faults.processes import STRIKE
from faults.schedule import Planned, deal
from faults.strikes import strike
from faults.told import line
from faults.world import World, world

from madray.ledger import Ledger

pytestmark = pytest.mark.timeout(600)  # most of it waits for others on a busy machine

STRIKES = deal(5, seed=0)


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture(scope="module")
def expected(place: World) -> Undisturbed:
    return undisturbed(place)


@pytest.mark.parametrize("planned", STRIKES, ids=[each.kind for each in STRIKES])
def test_a_strike_costs_a_run_and_nothing_else(place: World, expected: Undisturbed, planned: Planned) -> None:
    place.make_free()
    verdict = strike(place, planned, expected)
    if verdict.outcome == "not possible here":
        pytest.skip(verdict.problems[0])
    assert verdict.problems == [], line(verdict)


def test_a_cluster_that_lost_a_cpu_is_another_one_before_the_next_strike(
    place: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not place.make_free()
    with monkeypatch.context() as lost:
        lost.setattr(place.ray, "is_free", lambda: False)
        assert place.make_free(seconds=0.1)
    assert not place.make_free()


# The checks can fail: each is shown what it is there to find.


@pytest.fixture
def copied(place: World, expected: Undisturbed, tmp_path: Path) -> Campaign:
    """The undisturbed sweep with a store and an MLflow of its own, to be spoilt."""
    server = place.mlflow
    for source in (server.database, server.artifacts, place.folder / "undisturbed" / "store"):
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / source.name)
    tracking = SimpleNamespace(
        database=tmp_path / server.database.name, artifacts=tmp_path / server.artifacts.name
    )
    aside: Any = SimpleNamespace(mlflow=tracking, mark=place.mark)
    store = str(tmp_path / "store")
    return Campaign(aside, "undisturbed", tmp_path, store, store)


def test_a_copy_that_nobody_spoilt_passes(copied: Campaign, expected: Undisturbed) -> None:
    assert broken_promises(copied, expected) == []


def test_another_number_in_the_table_is_found(copied: Campaign, expected: Undisturbed) -> None:
    ledger = Ledger(copied.store(), copied.name)
    row = next(iter(ledger.rows().values()))
    ledger.append([replace(row, seconds=1.0, numbers={**row.numbers, "fid": row.numbers["fid"] + 1e-12})])
    assert table_problems(copied, expected) == ["the table differs"]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        ("UPDATE metrics SET value = value * 1.000001 WHERE key = 'fid' AND step = 2", "1 of 6 are missing"),
        (
            "INSERT INTO metrics SELECT key, value, timestamp + 1, run_uuid, step, is_nan FROM metrics",
            "12 points",
        ),
        ("DELETE FROM metrics WHERE step = 3", "4 points"),
        ("UPDATE runs SET status = 'RUNNING'", "is left RUNNING"),
        ("UPDATE runs SET lifecycle_stage = 'deleted' WHERE name LIKE '%lambda=0.5%'", "MLflow: runs of"),
    ],
)
def test_what_mlflow_has_wrong_is_found(
    copied: Campaign, expected: Undisturbed, spoil: str, found: str
) -> None:
    with closing(sqlite3.connect(copied.world.mlflow.database)) as database, database:
        columns = "key, value, timestamp, run_uuid, step, is_nan"
        database.execute(spoil.replace("INTO metrics SELECT", f"INTO metrics ({columns}) SELECT"))
    problems = tracking_problems(copied, expected)
    assert any(found in each for each in problems)


def _again(picture: Path) -> None:
    shutil.copy(picture, picture.with_name(picture.name.replace("samples", "others")))


@pytest.mark.parametrize("spoil", [Path.unlink, _again, lambda path: path.write_bytes(b"")])
def test_a_picture_that_is_missing_doubled_or_another_is_found(
    copied: Campaign, expected: Undisturbed, spoil: Callable[[Path], object]
) -> None:
    with closing(sqlite3.connect(copied.world.mlflow.database)) as database:
        [[experiment]] = database.execute(
            "SELECT experiment_id FROM experiments WHERE name = ?", (copied.name,)
        ).fetchall()
    spoil(next((copied.world.mlflow.artifacts / str(experiment)).rglob("images/*.png")))
    [problem] = tracking_problems(copied, expected)
    assert "pictures" in problem


def test_a_process_that_is_left_is_found(copied: Campaign, expected: Undisturbed) -> None:
    command = [sys.executable, "-c", "input()"]
    environment = {**os.environ, STRIKE: copied.name}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as left:
        [problem] = process_problems(copied, seconds=0.5)
        assert problem.startswith(f"process {left.pid} is left")
        left.kill()
    assert process_problems(copied, seconds=0.5) == []


def test_a_file_that_gc_does_not_name_is_found(copied: Campaign, expected: Undisturbed) -> None:
    """Nobody but a user puts files where gc does not look."""
    Path(copied.seen, "notes").mkdir()
    Path(copied.seen, "notes", "mine.txt").write_text("mine")
    assert garbage_problems(copied, expected) == [
        "gc does not name notes/mine.txt",
        "notes/mine.txt is there after gc --delete",
    ]


def test_an_artifact_that_is_too_much_or_missing_is_found(copied: Campaign, expected: Undisturbed) -> None:
    copied.store().commit("draws", "0" * 32, {"samples.parquet": b"mine"})
    assert garbage_problems(copied, expected) == []  # gc names and deletes it
    measured = next(Path(copied.seen, "pictures").glob("*/done.json")).parent
    shutil.rmtree(measured)
    assert f"the store lacks pictures/{measured.name}/grid.png" in garbage_problems(copied, expected)
