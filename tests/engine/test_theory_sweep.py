"""Sweeps of theory carried out: stopped, killed, failing, growing, and always the same table in the end."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pytest
from commands import environment, kill, madray, start, wait_for

import madray.engine.worker as working
from madray.bundles import FILE
from madray.engine.events import CalculationMade, Event, GenerationMade, Progress, WorkFailed, WorkMade
from madray.engine.local import execute_here
from madray.engine.prepare import Prepared, prepare
from madray.engine.schedule import Schedule
from madray.engine.sweep import Emit, Outcome, run
from madray.engine.work import WorkPlan
from madray.engine.worker import Worker
from madray.errors import BadInput
from madray.estimates import estimate, known_rows
from madray.ledger import Ledger, Row
from madray.parquet import from_parquet
from madray.results import open as open_results
from madray.spec.reading import check_sweep
from madray.spec.sweep import Resources
from madray.status import status_of
from madray.store import Store
from madray.table import table, to_csv

LIMIT: dict[str, Any] = {
    "name": "limits",
    "theory": {"kind": "limit", "d": 3, "rtol": 0.1},
    "grid": {"lambda": [1.0, 0.8], "n_r": [5, 20], "n_s": [0, 30]},
    "seeds": 2,
}
SIMULATE: dict[str, Any] = {
    "name": "chains",
    "theory": {"kind": "simulate", "d": 3, "n_s": 9, "n_ini": 9, "generations": 3, "replicates": 5},
    "grid": {"n_r": [5, 20]},
}
BOUNDARY: dict[str, Any] = {
    "name": "phase",
    "theory": {"kind": "boundary", "d": 10, "lambda": 0.8},
    "grid": {"n_r": [2, 30]},
}
TOO_LARGE = 2 * 10**7
"""A dimension whose matrices no machine has room for: the calculation raises MemoryError at once."""


class Watched(Store):
    """Counts commits, and dies before write `dies_at`, as a killed process would."""

    def __init__(self, place: Path, dies_at: int | None = None) -> None:
        opened = Store.open(place)
        super().__init__(opened._fs, opened._root, opened.uri)
        self.commits: list[tuple[str, str]] = []
        self.puts = 0
        self.dies_at = dies_at

    def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        super().commit(kind, key, files)
        self.commits.append((kind, key))

    def put(self, path: str, data: bytes) -> None:
        if self.puts == self.dies_at:
            raise KeyboardInterrupt
        self.puts += 1
        super().put(path, data)


class Recorded:
    """Keeps what a user would see, and the rows that MLflow would be shown."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rows: list[Row] = []

    def begin(self, plan: WorkPlan) -> None:
        """A plan was made."""

    def event(self, event: Event) -> None:
        self.events.append(event)

    def follow(self, rows: Sequence[Row]) -> None:
        self.rows += rows

    @property
    def made(self) -> list[str]:
        return [event.target for event in self.events if isinstance(event, CalculationMade)]


def go(
    raw: Mapping[str, Any], store: Store, executor: Any = execute_here
) -> tuple[Prepared, Outcome, Recorded]:
    """Prepare a sweep and run it here."""
    prepared = prepare(check_sweep(copy.deepcopy(dict(raw)), name="test"), store=store, data=None)
    seen = Recorded()
    return prepared, run(prepared, executor=executor, display=seen, follower=seen), seen


def written(place: Path, name: str) -> bytes:
    """The table as `madray table` writes it: from the ledger alone."""
    ledger = Ledger(Store.open(place), name)
    return to_csv(table(ledger.record(), ledger.rows()))


def nothing_to_do(*_: Any) -> None:
    raise AssertionError("expected nothing to be left to do")


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    place = tmp_path_factory.mktemp("never-stopped")
    go(LIMIT, Store.open(place))
    return written(place, "limits")


# What comes out


def test_a_limit_is_a_row_with_its_standard_errors_and_no_generation(never_stopped: bytes) -> None:
    heading, *lines = never_stopped.decode().splitlines()
    assert heading == (
        "lambda,n_r,n_s,seed,w2_squared,w2_squared_standard_error,n_e,n_e_standard_error,"
        "n_e_over_n_r,n_e_over_n_r_standard_error"
    )
    assert len(lines) == 8 * 2
    assert [line.split(",")[:4] for line in lines[:3]] == [
        ["0.8", "5", "0", "0"],
        ["0.8", "5", "0", "1"],
        ["0.8", "5", "30", "0"],
    ]


def test_a_simulation_is_a_row_a_generation(tmp_path: Path) -> None:
    _, outcome, seen = go(SIMULATE, Store.open(tmp_path))
    assert set(outcome.states.values()) == {"finished"}
    frame = open_results(tmp_path)["chains"].table()
    assert list(frame.columns[:5]) == ["n_r", "seed", "generation", "w2_squared", "w2_squared_standard_error"]
    assert frame["generation"].tolist() == [1, 2, 3] * 2
    assert len(seen.made) == 2
    first = frame[frame["generation"] == 1]
    assert first["w2"].nunique() == 1  # common random numbers: generation 1 does not depend on n_r


def test_a_boundary_may_be_infinite(tmp_path: Path) -> None:
    go(BOUNDARY, Store.open(tmp_path))
    heading, endless, other = written(tmp_path, "phase").decode().splitlines()
    assert heading == "n_r,seed,n_s_star,n_s_star_low,n_s_star_high,evaluations"
    assert endless.split(",")[:3] == ["2", "0", "inf"]
    low, high = map(float, other.split(",")[3:5])
    assert 0 < low < high < 1000


# The same in the end


def test_the_table_depends_neither_on_the_order_of_work_nor_on_that_of_cells(
    tmp_path: Path, never_stopped: bytes
) -> None:
    def shuffled(schedule: Schedule, store: Store, resources: Resources, emit: Emit) -> None:
        """Hands out everything first, and carries it out in another order, some of it alone."""
        names = []
        while taken := schedule.take():
            names += taken
        random.Random(1).shuffle(names)
        worker = Worker(store, checkpoint_seconds=60)
        for begin in (0, 1, 7):
            batch = names[begin : {0: 1, 1: 7, 7: None}[begin]]
            worker.carry_out([schedule.work[name] for name in batch], emit)

    grid = {name: LIMIT["grid"][name][::-1] for name in LIMIT["grid"]}
    go({**LIMIT, "grid": grid, "seeds": [1, 0]}, Store.open(tmp_path), executor=shuffled)
    assert written(tmp_path, "limits") == never_stopped


@pytest.mark.parametrize("dies_at", range(9))
def test_a_sweep_killed_before_any_write_goes_on_to_the_same_table(
    tmp_path: Path, never_stopped: bytes, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    monkeypatch.setattr(working, "BATCH_SECONDS", 0.0)  # every calculation is a bundle of its own
    with contextlib.suppress(KeyboardInterrupt):
        go(LIMIT, Watched(tmp_path, dies_at))
    go(LIMIT, Watched(tmp_path))
    assert written(tmp_path, "limits") == never_stopped
    go(LIMIT, Watched(tmp_path), executor=nothing_to_do)


def test_many_small_calculations_go_into_one_bundle(tmp_path: Path) -> None:
    store = Watched(tmp_path)
    prepared, _, seen = go(LIMIT, store)
    assert {kind for kind, _ in store.commits} == {"bundles"}
    assert len(store.commits) < len(seen.made) == 16
    told = [
        pair
        for _, bundle in store.commits
        for pair in zip(
            *(
                from_parquet(store.read("bundles", bundle)[FILE]).column(name).to_pylist()
                for name in ("kind", "key")
            ),
            strict=True,
        )
    ]
    assert sorted(told) == sorted(prepared.targets.artifacts())


def test_what_fills_seconds_is_stored_before_the_rest_of_its_batch_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "BATCH_SECONDS", 0.0)
    store = Watched(tmp_path)
    prepared = prepare(check_sweep(LIMIT, name="test"), store=store, data=None)
    commits_when_told = []

    def tell(event: Event) -> None:
        if isinstance(event, CalculationMade):
            assert Store.open(tmp_path).has("theory", event.target)
            commits_when_told.append(len(store.commits))

    Worker(store, checkpoint_seconds=60).carry_out(prepared.plan.work, tell)
    assert commits_when_told == list(range(1, 17))


def test_a_finished_sweep_is_not_made_again_and_damage_is_mended(
    tmp_path: Path, never_stopped: bytes
) -> None:
    go(LIMIT, Store.open(tmp_path))
    prepared, outcome, seen = go(LIMIT, Store.open(tmp_path), executor=nothing_to_do)
    assert prepared.plan.complete
    assert (len(outcome.rows), len(seen.rows)) == (16, 16)
    bundle = min((tmp_path / "bundles").glob("*/*/*.parquet"))
    bundle.write_bytes(bundle.read_bytes()[:-1] + b"?")
    _, _, seen = go(LIMIT, Store.open(tmp_path))
    assert 0 < len(seen.made) < 16
    assert written(tmp_path, "limits") == never_stopped


def test_a_wider_grid_and_other_sweeps_make_only_what_is_new(tmp_path: Path) -> None:
    go(LIMIT, Store.open(tmp_path))
    wider = {**LIMIT, "grid": {**LIMIT["grid"], "n_s": [0, 30, 60]}}
    prepared, outcome, seen = go(wider, Store.open(tmp_path))
    assert prepared.plan.told() == "24 calculations, 16 in the store, 8 remain"
    assert (len(seen.made), len(outcome.rows)) == (8, 24)
    spelled = {"kind": "limit", "d": 3, "rtol": 0.1, "lambda": 0.8, "n": 35, "p": 1 / 7}
    other = {"name": "other", "theory": spelled, "seeds": 2}
    _, outcome, _ = go(other, Store.open(tmp_path), executor=nothing_to_do)
    assert [row.numbers for row in outcome.rows.values()] == [
        row.numbers
        for chain in prepared.record.chains
        if dict(chain.point) == {"lambda": 0.8, "n_r": 5, "n_s": 30}
        for row in Ledger(Store.open(tmp_path), "limits").rows().values()
        if row.chain == chain.id
    ]


def test_cells_that_mean_the_same_get_their_rows_from_one_calculation(tmp_path: Path) -> None:
    raw = {
        "name": "twice",
        "theory": {"kind": "limit", "d": 3, "n": 10, "rtol": 0.1},
        "grid": {"p": [0.5, 0.51]},
    }
    _, outcome, seen = go(raw, Store.open(tmp_path))
    assert len(seen.made) == 1
    one, other = outcome.rows.values()
    assert one.numbers == other.numbers
    assert one.chain != other.chain


def test_more_generations_are_a_new_calculation_that_begins_alike(tmp_path: Path) -> None:
    go(SIMULATE, Store.open(tmp_path))
    before = open_results(tmp_path)["chains"].table()
    longer = {**SIMULATE, "theory": {**SIMULATE["theory"], "generations": 4}}
    _, _, seen = go(longer, Store.open(tmp_path))
    assert len(seen.made) == 2
    after = open_results(tmp_path)["chains"].table()
    assert after[after["generation"] <= 3].reset_index(drop=True).equals(before)


# Failures


def test_a_failure_is_a_result_of_its_cell_alone(tmp_path: Path) -> None:
    theory = {**LIMIT["theory"], "n_r": TOO_LARGE, "n_s": 30}
    del theory["d"]
    raw = {"name": "limits", "theory": theory, "grid": {"lambda": [1.0, 0.8], "d": [3, TOO_LARGE]}}
    _, outcome, seen = go(raw, Store.open(tmp_path))
    assert sorted(outcome.states.values()) == ["failed", "failed", "finished", "finished"]
    assert {failure.error.partition(":")[0] for failure in outcome.failures} == {"MemoryError"}
    told = status_of(Store.open(tmp_path), "limits")
    assert told["calculations"] == {"finished": 2, "all": 4}
    assert [chain["state"] for chain in told["chains"]] == ["finished", "failed"] * 2
    lost = {f"lambda={bias}, d={TOO_LARGE}, seed 0" for bias in ("1", "0.8")}
    assert {failure["of"] for failure in told["failures"]} == lost
    assert all("madray/theory/" in failure["traceback"] for failure in told["failures"])
    assert [event.t for event in seen.events if isinstance(event, WorkFailed)] == [0, 0]
    mended = {**raw, "grid": {"lambda": [1.0, 0.8], "d": [3, 4]}}
    _, outcome, seen = go(mended, Store.open(tmp_path))
    assert (set(outcome.states.values()), len(seen.made)) == ({"finished"}, 2)
    assert status_of(Store.open(tmp_path), "limits")["failures"] == []


def test_a_store_that_fills_up_fails_what_could_not_be_written(tmp_path: Path) -> None:
    class Full(Watched):
        def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
            raise BadInput("no space left")

    _, outcome, seen = go(LIMIT, Full(tmp_path))
    assert {failure.error for failure in outcome.failures} == {"BadInput: no space left"}
    assert len(outcome.failures) == 16
    assert (outcome.rows, seen.made) == ({}, [])


# What is shown


def test_a_follower_sees_every_row_once_and_a_user_every_calculation(tmp_path: Path) -> None:
    _, outcome, seen = go(SIMULATE, Store.open(tmp_path))
    assert sorted((row.chain, row.t) for row in seen.rows) == sorted(
        (row.chain, row.t) for row in outcome.rows.values()
    )
    assert not any(isinstance(event, GenerationMade) for event in seen.events)
    kinds = [type(event) for event in seen.events]
    assert {kind: kinds.count(kind) for kind in (Progress, CalculationMade, WorkMade)} == {
        Progress: 2,
        CalculationMade: 2,
        WorkMade: 2,
    }


def test_what_is_left_is_told_from_what_its_like_took(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    prepared, _, _ = go({**LIMIT, "seeds": 1}, store)
    wider = {**LIMIT, "seeds": 2}
    todo = prepare(check_sweep(wider, name="test"), store=store, data=None)
    guess = estimate(todo.plan.efforts(todo.mine), known_rows(store))
    assert (guess.known, guess.missing) == (8, 8)
    assert 0 < guess.seconds < 60
    assert estimate(prepared.plan.efforts(prepared.mine), []).known == 0


def test_models_and_pictures_of_theory_are_bad_input(tmp_path: Path) -> None:
    go(SIMULATE, Store.open(tmp_path))
    sweep = open_results(tmp_path)["chains"]
    for ask in (sweep.generation, sweep.grid):
        with pytest.raises(BadInput, match=r"^expected a sweep of chains, got chains, which is of theory"):
            ask({"n_r": 5}, 1)


PLANNING = """
import sys
from pathlib import Path
from madray.engine.prepare import prepare
from madray.spec.reading import parse_sweep
from madray.status import status_of
from madray.store import Store
store = Store.open(sys.argv[1])
prepared = prepare(parse_sweep(Path("sweep.yaml").read_text(), name="x"), store=store, data=None)
assert prepared.plan.told().startswith("4 calculations")
prepared.ledger.write_record(prepared.record)
assert status_of(store, "ours")["calculations"] == {"finished": 0, "all": 4}
print([name for name in ("torch", "ray", "mlflow", "scipy", "madray.theory") if name in sys.modules])
"""

SWEEP = """
name: ours
theory: {kind: limit, d: 30, rtol: 0.005}
grid:
  lambda: [1.0, 0.9]
  n_r: [20, 50]
  n_s: VALUES
"""


def write_sweep(folder: Path, values: Sequence[int]) -> None:
    (folder / "sweep.yaml").write_text(SWEEP.replace("VALUES", str(list(values))))


def test_planning_and_status_load_neither_torch_nor_ray(tmp_path: Path) -> None:
    write_sweep(tmp_path, [30])
    done = subprocess.run(
        [sys.executable, "-c", PLANNING, str(tmp_path / "store")],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    write_sweep(tmp_path, [0, 30])
    done = madray("sweep", "sweep.yaml", "--dry-run", "--set", "grid.n_r=[20]", cwd=tmp_path)
    assert done.returncode == 0
    assert "ours: 4 calculations, 0 in the store, 4 remain" in done.stdout
    assert not (tmp_path / "madray-store").exists()


# On Ray


def points(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Step, n_s and w2_squared of each batch in MLflow, by its name; no run is left running."""
    client = mlflow.MlflowClient(f"sqlite:///{folder}/madray-store/mlflow.db")
    experiment = client.get_experiment_by_name("ours")
    assert experiment is not None
    found = {}
    for one in client.search_runs([experiment.experiment_id]):
        assert one.info.status == "FINISHED"
        if "madray.chain" in one.data.tags:
            history = {
                name: sorted((p.step, p.value) for p in client.get_metric_history(one.info.run_id, name))
                for name in ("n_s", "w2_squared")
            }
            steps = zip(history["n_s"], history["w2_squared"], strict=True)
            found[str(one.info.run_name)] = [(step, n_s, w2) for (step, n_s), (_, w2) in steps]
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_killed_on_ray_is_resumed_to_the_table_of_one_never_stopped(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
        write_sweep(folder, range(30, 150, 10))
    bundles = stopped / "madray-store" / "bundles"
    driver = start("sweep", "sweep.yaml", cwd=stopped)
    wait_for(lambda: len(list(bundles.glob("*/done.json"))) >= 2, driver)
    kill(driver.pid)
    driver.wait()
    told = json.loads(madray("status", "ours", "--json", cwd=stopped).stdout)
    assert told["calculations"]["finished"] < 48
    resumed = madray("resume", "ours", cwd=stopped)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "48 calculations, 0 in the store" not in resumed.stdout
    done = madray("sweep", "sweep.yaml", "--set", "resources.concurrent=1", cwd=whole)
    assert done.returncode == 0, done.stdout + done.stderr
    made = madray("table", "ours", cwd=stopped).stdout
    assert made == madray("table", "ours", cwd=whole).stdout
    assert len(made.splitlines()) == 1 + 48
    shown = points(stopped)
    assert shown == points(whole)
    assert sorted(shown) == [f"lambda={bias}, n_r={n_r}, seed=0" for bias in ("0.9", "1") for n_r in (20, 50)]
    assert all(
        [(step, n_s) for step, n_s, _ in curve] == [(i + 1, 30.0 + 10 * i) for i in range(12)]
        for curve in shown.values()
    )
