"""The engine on a real Ray: sharing, failures, resources, interrupts, and what a second run costs."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from commands import environment, madray_here, start, wait_for
from ray.air.execution import ResourceRequest

from madray.engine.cluster import OnRay
from madray.engine.events import Event, Note
from madray.engine.groups import SettledGroups
from madray.engine.prepare import prepare
from madray.engine.sweep import Outcome, run
from madray.engine.tables import SharedTables, Tables
from madray.engine.trials import Follower
from madray.errors import BadInput
from madray.parquet import to_parquet
from madray.plan import Plan
from madray.spec.reading import parse_sweep
from madray.store import Store

SHARING = """
name: sharing
chain:
  reference: digits
  generator: {kind: "patient_generator:Patient", steps: 1, pause: 0.0}
  loop: fresh_data
  n_ini: 100
  n_s: 100
  n_eval: 100
  generations: 2
  metrics: [variance]
grid:
  n_r: [10, 20, 30, 40, 50, 60]
"""


class Quiet:
    def begin(self, plan: Plan) -> None:
        pass

    def event(self, event: Event) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def on_ray() -> Iterator[None]:
    plugins = str(Path(__file__).parents[1] / "plugins")
    ray.init(
        address="local",
        num_cpus=3,  # a trainer and two samplers
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": plugins, "OMP_NUM_THREADS": "1"}},
    )
    yield
    ray.shutdown()


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "plugins"))


def test_a_draw_that_six_cells_use_is_read_once(tmp_path: Path, plugins: None) -> None:
    # The draw is sampled in a run of its own: who sampled it has it at hand, and need not read it at all.
    for generations in ("generations: 1", "generations: 2"):
        file = parse_sweep(SHARING.replace("generations: 2", generations), name="sharing")
        prepared = prepare(file, store=Store.open(tmp_path), data=None)
        executor = OnRay(None)
        outcome = run(prepared, executor=executor, display=Quiet())
    assert set(outcome.states.values()) == {"finished"}
    first = prepared.targets.forest.chains[0].generations[0]
    [draw] = [
        draw
        for draw in prepared.targets.forest.made[first].outputs.values()
        if len(prepared.targets.forest.made[first].children) == 6 and draw.part.n == 100
    ]
    assert [executor.reads[f"draws/{chunk}"] for chunk in draw.chunk_keys()] == [1]
    assert [count for name, count in executor.reads.items() if name.startswith("references/")] == [1]


def test_a_table_whose_object_or_actor_is_lost_is_read_from_the_parquet(tmp_path: Path) -> None:
    import pyarrow as pa

    store = Store.open(tmp_path)
    store.commit("draws", "one", {"samples.parquet": to_parquet(pa.table({"values": [1, 2]}))})
    actor = ray.remote(num_cpus=0)(Tables).remote(store, 1e9)
    tables = SharedTables(store, actor)
    assert tables.table("draws", "one").column("values").to_pylist() == [1, 2]
    ray.kill(actor)
    assert tables.table("draws", "one").column("values").to_pylist() == [1, 2]


class Silent:
    """A `Tables` that never answers."""

    def object(self, kind: str, key: str) -> list[object]:
        time.sleep(1000)
        return []

    def forget(self, kind: str, key: str) -> None:
        pass


def test_a_table_that_does_not_come_is_read_from_the_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa

    monkeypatch.setattr("madray.engine.tables._WAIT_SECONDS", 0.5)
    store = Store.open(tmp_path)
    store.commit("draws", "one", {"samples.parquet": to_parquet(pa.table({"values": [1, 2]}))})
    actor = ray.remote(num_cpus=0)(Silent).remote()
    assert SharedTables(store, actor).table("draws", "one").column("values").to_pylist() == [1, 2]
    ray.kill(actor)


def test_tables_forget_by_size(tmp_path: Path) -> None:
    """Sizes are learnt a little after tables are read, so forgetting lags: it comes within a few tables."""
    import pyarrow as pa

    store = Store.open(tmp_path)
    names = [f"table{i}" for i in range(60)]
    for name in names:
        store.commit("draws", name, {"samples.parquet": to_parquet(pa.table({"values": [0.0] * 1000}))})
    large, small = (ray.remote(num_cpus=0)(Tables).remote(store, room) for room in (1e9, 9000))
    for actor in (large, small):
        for name in [*names, names[0]]:
            assert SharedTables(store, actor).table("draws", name).num_rows == 1000
    assert ray.get(large.reads.remote()) == dict.fromkeys([f"draws/{name}" for name in names], 1)
    assert ray.get(small.reads.remote())[f"draws/{names[0]}"] == 2


DIFFUSION = """
name: diffusion
chain:
  reference: digits
  generator: {kind: ddpm, timesteps: 5, steps: 20, warmup: 2, width: 16, depth: 1, chunk: 20}
  loop: fully_synthetic
  lambda: 0.5
  n_ini: 100
  n_s: 90
  n_eval: 90
  generations: 2
"""


def test_samplers_change_no_number_and_no_sample_of_a_diffusion_model(tmp_path: Path) -> None:
    """One CPU's trainer and another with two samplers beside it, which make some of the five chunks of a draw."""
    found = []
    for samplers in (0, 2):
        overrides = [f"resources.samplers={samplers}"]
        file = parse_sweep(DIFFUSION, name="diffusion", overrides=overrides)
        store = Store.open(tmp_path / str(samplers))
        prepared = prepare(file, store=store, data=None)
        outcome = run(prepared, executor=OnRay(None), display=Quiet())
        assert not outcome.failures
        forest = prepared.targets.forest
        chunks = [
            key
            for generation in forest.chains[0].generations
            for draw in forest.made[generation].outputs.values()
            for key in draw.chunk_keys()
        ]
        samples = {key: store.read("draws", key)["samples.parquet"] for key in chunks}
        found.append(({place: dict(row.numbers) for place, row in outcome.rows.items()}, samples))
    assert found[0] == found[1]
    numbers, samples = found[0]
    assert len(numbers) == 2
    assert len(samples) == 2 * 5


FAILING = """
name: failing
chain:
  reference: {kind: gaussian, d: 2}
  generator: {kind: "patient_generator:Failing", needs: 60}
  loop: fresh_data
  n_ini: 100
  n_s: 40
  n_eval: 50
  generations: 3
grid:
  n_r: [10, 40]
"""


def test_an_error_in_one_cell_fails_that_cell_and_no_other(tmp_path: Path, plugins: None) -> None:
    file = tmp_path / "failing.yaml"
    file.write_text(FAILING)
    assert madray_here("sweep", file, cwd=tmp_path).exit_code == 1
    status = json.loads(madray_here("status", "failing", "--json", cwd=tmp_path).stdout)
    states = {chain["cell"]["n_r"]: (chain["state"], chain["finished"]) for chain in status["chains"]}
    assert states == {10: ("failed", 1), 40: ("finished", 3)}
    [failure] = status["failures"]
    assert failure["generation"] == 2
    assert "this is meant to fail" in failure["error"]
    assert "patient_generator.py" in failure["traceback"]
    assert "patient_generator.py" in madray_here("status", "failing", cwd=tmp_path).stdout

    mended = madray_here("sweep", file, "--set", "chain.generator.needs=1", cwd=tmp_path)
    assert mended.exit_code == 0
    status = json.loads(madray_here("status", "failing", "--json", cwd=tmp_path).stdout)
    assert {chain["state"] for chain in status["chains"]} == {"finished"}
    assert status["failures"] == []


def test_trials_that_found_no_room_are_given_up_and_lose_nothing(
    tmp_path: Path, plugins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has all CPUs for a while, in which trials are given up two or three times."""
    monkeypatch.setattr("madray.engine.trials._PATIENCE_SECONDS", 0.3)
    taken = ray.util.placement_group([{"CPU": 3.0}])
    ray.get(taken.ready())
    threading.Timer(4.0, ray.util.remove_placement_group, [taken]).start()
    given_up: list[str] = []
    give_up = Follower.give_up
    monkeypatch.setattr(
        Follower, "give_up", lambda self, trial_id: (given_up.append(trial_id), give_up(self, trial_id))
    )
    prepared = prepare(parse_sweep(SHARING, name="late"), store=Store.open(tmp_path), data=None)
    outcome = run(prepared, executor=OnRay(None), display=Quiet())
    assert len(given_up) >= 2
    assert set(outcome.states.values()) == {"finished"}
    assert not outcome.failures


def test_requests_that_are_given_up_at_once_cost_no_cpu() -> None:
    """Tune's own groups lost all of 8 CPUs within 400 such requests. At that rate, one in fifty or more, 200 of
    them would lose none in at most two of a hundred runs."""
    groups = SettledGroups()
    request = ResourceRequest([{"CPU": 1.0}])
    for number in range(200):
        groups.request_resources(request)
        groups.cancel_resource_request(request)
        if number % 8 == 7:
            groups.clear()
    until = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 3.0:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_request_that_is_given_up_is_taken_back_or_goes() -> None:
    taken = ray.util.placement_group([{"CPU": 3.0}])
    ray.get(taken.ready())
    groups = SettledGroups()
    request = ResourceRequest([{"CPU": 1.0}])
    groups.request_resources(request)
    [wanted] = groups.get_resource_futures()
    groups.cancel_resource_request(request)
    assert groups.get_resource_futures() == []
    groups.request_resources(request)
    assert groups.get_resource_futures() == [wanted]
    groups.cancel_resource_request(request)
    ray.util.remove_placement_group(taken)  # so that it is there a moment later
    until = time.monotonic() + 20
    while any(group["state"] != "REMOVED" for group in ray.util.placement_group_table().values()):
        assert time.monotonic() < until
        groups.get_resource_futures()
        time.sleep(0.02)


class Notes(Quiet):
    def __init__(self) -> None:
        self.told: list[str] = []

    def event(self, event: Event) -> None:
        if isinstance(event, Note):
            self.told.append(event.text)


def with_deaths(folder: Path, generator: str, *, max_failures: int) -> tuple[Outcome, list[str]]:
    """What becomes of two cells that share nothing: one trains on 100 samples, the other one on 200."""
    overrides = [
        f"chain.generator={generator}",
        "chain.n_r=100",
        "chain.generations=1",
        "grid={n_ini: [100, 200]}",
        f"resources={{max_failures: {max_failures}, concurrent: 1}}",
    ]
    notes = Notes()
    file = parse_sweep(SHARING, name="deaths", overrides=overrides)
    prepared = prepare(file, store=Store.open(folder / "store"), data=None)
    return run(prepared, executor=OnRay(None), display=notes), notes.told


def test_what_kills_its_trainer_again_and_again_fails_alone_and_says_how_often(
    tmp_path: Path, plugins: None
) -> None:
    outcome, told = with_deaths(
        tmp_path,
        f'{{kind: "patient_generator:Deadly", marks: "{tmp_path}", needs: 150}}',
        max_failures=2,
    )
    assert sorted(outcome.states.values()) == ["failed", "finished"]
    [failure] = outcome.failures
    assert failure.error == "its trainer died 3 times, and resources.max_failures is 2"
    assert "died" in failure.traceback.lower()
    assert len(list(tmp_path.glob("died*"))) == 3
    assert told == ["a trainer died; its work goes on in another one"] * 2


def test_work_whose_trainer_dies_while_it_is_reused_goes_on_in_another_one(
    tmp_path: Path, plugins: None
) -> None:
    """Tune counts such a trial as failed whatever `max_failures` says, or lets it wait for ever."""
    outcome, told = with_deaths(
        tmp_path, f'{{kind: "patient_generator:DiesWhenReused", marks: "{tmp_path}"}}', max_failures=1
    )
    assert not outcome.failures
    assert set(outcome.states.values()) == {"finished"}
    assert set(told) == {"a trainer died; its work goes on in another one"}


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path, plugins: None) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        FAILING.replace('{kind: "patient_generator:Failing", needs: 60}', '"patient_generator:Patient"')
    )
    driver = start("sweep", file, cwd=tmp_path)
    wait_for(lambda: bool(list((tmp_path / "madray-store" / "generations").glob("*/done.json"))), driver)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=60) == 130
    output = (tmp_path / "output.txt").read_text()
    assert "go on with: madray resume failing" in output
    assert "Traceback" not in output
    assert madray_here("resume", "failing", cwd=tmp_path).exit_code == 0


AGAIN = """
name: again
chain:
  reference: digits
  generator: {kind: ddpm, timesteps: 5, steps: 20, warmup: 2, width: 16, depth: 1, chunk: 100}
  loop: fully_synthetic
  n_ini: 100
  n_s: 100
  n_eval: 100
  generations: 2
grid:
  lambda: [1.0, 0.5]
"""

LOADED = """
import sys
from madray.cli import main
sys.argv = ["madray", "sweep", "again.yaml"]
try:
    main()
finally:
    print("loaded:", [name for name in ("ray", "torch", "torchvision") if name in sys.modules])
"""


def everything_in_mlflow(folder: Path) -> tuple[dict[str, list[tuple[object, ...]]], list[str]]:
    """All rows of MLflow's database, and all of its files."""
    store = folder / "madray-store"
    with sqlite3.connect(store / "mlflow.db") as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: sorted(database.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
    files = sorted(
        str(path) for path in store.rglob("*") if path.suffix in (".png", ".webp", ".csv", ".yaml")
    )
    return rows, files


def test_a_finished_sweep_run_again_loads_no_ray_and_no_torch_and_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(AGAIN)
    first = madray_here("sweep", "again.yaml", cwd=tmp_path)
    assert first.exit_code == 0, first.output
    before = everything_in_mlflow(tmp_path)
    assert len(before[0]["runs"]) == 1 + 2
    assert sum(name.endswith(".png") for name in before[1]) >= 2 * 3
    files = {path for path in (tmp_path / "madray-store").rglob("*") if path.is_file()}

    again = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=tmp_path,
        env=environment(),
        text=True,
        capture_output=True,
        check=False,
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "0 fits remain" in again.stdout
    assert "loaded: []" in again.stdout
    assert everything_in_mlflow(tmp_path) == before
    assert {path for path in (tmp_path / "madray-store").rglob("*") if path.is_file()} == files


@pytest.mark.slow  # without Ray `test_local_sweep.py` says the same
def test_a_wider_grid_and_more_generations_make_only_what_is_new(tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(AGAIN)
    assert madray_here("sweep", "again.yaml", cwd=tmp_path).exit_code == 0
    generations = tmp_path / "madray-store" / "generations"
    before = {path: path.read_text() for path in generations.glob("*/done.json")}
    wider = madray_here("sweep", "again.yaml", "--set", "grid.lambda=[1.0, 0.5, 0.7]", cwd=tmp_path)
    assert "3 in the store, 1 fits remain" in wider.stdout
    assert "new cells: lambda=0.7" in wider.stdout
    longer = madray_here("resume", "again", "--set", "chain.generations=3", cwd=tmp_path)
    assert "4 in the store, 3 fits remain" in longer.stdout
    after = {path: path.read_text() for path in generations.glob("*/done.json")}
    assert len(after) == 7
    assert before.items() <= after.items()


def test_a_sweep_that_asks_for_more_than_any_node_has_is_refused_with_what_there_is(
    tmp_path: Path, plugins: None
) -> None:
    text = SHARING + "resources: {gpus: 1}\n"
    store = Store.open(tmp_path / "store")
    with pytest.raises(BadInput, match=r"1 GPU for a trainer, the cluster has 1 × \(3 CPU, 0 GPU\); try"):
        run(
            prepare(parse_sweep(text, name="s"), store=store, data=None),
            executor=OnRay(None),
            display=Quiet(),
        )
