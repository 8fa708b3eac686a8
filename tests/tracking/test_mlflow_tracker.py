"""The tracker against real SQLite, and against a real server that is down and comes back."""

import io
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from madray.ledger import ChainRecord, Row, SweepRecord
from madray.tracking import Tracker

CREATED = 1_700_000_000.25
ARTIFACTS = {"sweep.yaml": b"name: tried\n", "table.csv": b"loop,t,fid\n"}


def sweep(*, chains=2, generations=3, data="a"):
    """A sweep over λ, as the ledger records it."""
    return SweepRecord(
        name="tried",
        created=CREATED,
        text="",
        content={},
        columns=["fid", "recall"],
        floors={},
        chains=[
            ChainRecord(
                id=f"chain{i}",
                point={"loop": "fresh_data", "lambda": i / 10},
                seed=0,
                generations=[f"generation-{data}-{i}-{t}" for t in range(1, generations + 1)],
                rows=[f"row-{data}-{i}-{t}" for t in range(1, generations + 1)],
                parameters={"loop": "fresh_data", "lambda": i / 10, "n_r": 100, "p": None, "seed": 0},
            )
            for i in range(chains)
        ],
    )


def rows_of(record, up_to=None, pictures=True):
    return [
        Row(
            chain=chain.id,
            t=t,
            key=key,
            generation=chain.generations[t - 1],
            numbers={"fid": 0.1 * t, "recall": float("nan") if t == 2 else 1 / t},
            picture=f"picture-{chain.id}-{t}" if pictures else "",
            like="",
            n=100,
            seconds=1.0,
            size_bytes=1.0,
        )
        for chain in record.chains
        for t, key in enumerate(chain.rows[:up_to], start=1)
    ]


def png(key):
    sink = io.BytesIO()
    Image.new("L", (300, 200), color=len(key)).save(sink, format="PNG")
    return sink.getvalue()


def track(uri, record, rows, states=None, *, picture=png, wait_seconds=60):
    """One run of a sweep, as the driver makes it."""
    tracker = Tracker(uri, record, picture)
    tracker.start()
    tracker.follow(rows)
    ended = {chain.id: "finished" for chain in record.chains} if states is None else states
    return tracker.finish(ended, ARTIFACTS, wait_seconds)


class Held:
    """What lies in MLflow's database and beside it, read without MLflow."""

    def __init__(self, folder):
        self.folder = folder

    def ask(self, question):
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            return database.execute(question).fetchall()

    @property
    def statuses(self):
        return dict(self.ask("select name, status from runs where lifecycle_stage = 'active'"))

    @property
    def points(self):
        return sorted(
            self.ask(
                "select r.name, m.key, m.step, m.timestamp, m.is_nan, m.value "
                "from metrics m join runs r using (run_uuid) where r.lifecycle_stage = 'active'"
            )
        )

    @property
    def images(self):
        """Names of pictures, by the name of their run."""
        runs = dict(self.ask("select run_uuid, name from runs"))
        return sorted((runs[file.parts[-4]], file.name) for file in self.folder.rglob("images/*"))

    @property
    def everything(self):
        tables = ("experiments", "runs", "metrics", "latest_metrics", "params", "tags", "experiment_tags")
        files = [
            (str(file), file.stat().st_mtime_ns)
            for file in self.folder.joinpath("mlflow-artifacts").rglob("*")
        ]
        return {table: sorted(self.ask(f"select * from {table}"), key=repr) for table in tables}, sorted(
            files
        )

    @property
    def content(self):
        """What does not depend on when it was written, and by how many drivers."""
        tags = self.ask(
            "select r.name, t.key, t.value from tags t join runs r using (run_uuid) "
            "where t.key <> 'mlflow.parentRunId'"
        )
        return self.statuses, self.points, self.images, sorted(tags)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    assert track(f"sqlite:///{folder}/mlflow.db", replace(sweep(chains=0), name="other"), []) == []
    shutil.rmtree(folder / "mlflow-artifacts")
    return folder / "mlflow.db"


@pytest.fixture
def held(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        for table in ("tags", "runs", "experiment_tags"):
            database.execute(f"delete from {table}")
        database.execute("delete from experiments where name = 'other'")
        database.commit()
    return Held(tmp_path)


@pytest.fixture
def uri(held):
    return f"sqlite:///{held.folder}/mlflow.db"


FIRST, SECOND = "loop=fresh_data, lambda=0, seed=0", "loop=fresh_data, lambda=0.1, seed=0"


def test_rows_become_points_whose_step_is_the_generation(held, uri):
    assert track(uri, sweep(), rows_of(sweep())) == []

    assert held.statuses == {"tried": "FINISHED", FIRST: "FINISHED", SECOND: "FINISHED"}
    first = [point for point in held.points if point[0] == FIRST]
    assert [(key, step, is_nan) for _, key, step, _, is_nan, _ in first] == [
        ("fid", 1, 0),
        ("fid", 2, 0),
        ("fid", 3, 0),
        ("recall", 1, 0),
        ("recall", 2, 1),
        ("recall", 3, 0),
    ]
    for _, _, step, timestamp, _, _ in first:
        assert timestamp == pytest.approx((CREATED + step) * 1000, abs=10)
    parameters = held.ask(f"select key, value from params join runs using (run_uuid) where name = '{SECOND}'")
    assert dict(parameters) == {"loop": "fresh_data", "lambda": "0.1", "n_r": "100", "seed": "0"}


def test_children_hang_on_the_sweep_and_files_lie_with_it(held, uri):
    track(uri, sweep(), rows_of(sweep()))
    (parent,) = held.ask("select run_uuid from runs where name = 'tried'")[0]
    assert held.ask("select distinct value from tags where key = 'mlflow.parentRunId'") == [(parent,)]
    files = held.folder / "mlflow-artifacts" / "tried" / parent / "artifacts"
    assert {file.name: file.read_bytes() for file in files.iterdir()} == ARTIFACTS


def test_pictures_are_named_as_the_image_grid_reads_them(held, uri):
    track(uri, sweep(chains=1, generations=1), rows_of(sweep(chains=1, generations=1)))
    stem = f"samples+step+1+timestamp+{int(CREATED * 1000) - 1 + 1000}+picture-chain0-1"
    assert held.images == [(FIRST, f"{stem}+compressed.webp"), (FIRST, f"{stem}.png")]
    assert held.ask("select value from tags where key = 'mlflow.loggedImages'") == [("True",)]


def test_a_second_run_of_a_finished_sweep_writes_nothing(held, uri, monkeypatch):
    import mlflow

    track(uri, sweep(), rows_of(sweep()))
    before = held.everything
    searches = []
    search = mlflow.MlflowClient.search_runs
    monkeypatch.setattr(
        mlflow.MlflowClient, "search_runs", lambda *a, **k: searches.append(1) or search(*a, **k)
    )
    pictures_asked = []
    assert track(uri, sweep(), rows_of(sweep()), picture=pictures_asked.append) == []
    assert held.everything == before
    assert len(searches) == 1
    assert pictures_asked == []


def test_rows_that_are_written_again_add_nothing(held, uri):
    track(uri, sweep(), rows_of(sweep()))
    before = held.content
    with closing(sqlite3.connect(held.folder / "mlflow.db")) as database:
        database.execute("delete from tags where key = 'madray.written'")  # as after a kill in mid-write
        database.commit()
    assert track(uri, sweep(), rows_of(sweep())) == []
    assert held.content == before


def test_rows_may_come_in_any_order_and_any_number_of_times(held, uri, tmp_path_factory):
    record = sweep()
    tracker = Tracker(uri, record, png)
    tracker.start()
    for row in reversed(rows_of(record)):
        tracker.follow([row, row])
        time.sleep(0.3)
    assert tracker.finish({chain.id: "finished" for chain in record.chains}, ARTIFACTS, 60) == []
    in_any_order = held.content
    before = held.everything
    track(uri, record, rows_of(record))
    assert held.everything == before
    assert len(in_any_order[1]) == 12


def test_a_longer_chain_continues_its_run(held, uri):
    track(uri, sweep(generations=2), rows_of(sweep(generations=2)))
    runs = held.ask("select run_uuid from runs")
    asked = []

    def picture(key):
        asked.append(key)
        return png(key)

    longer = sweep(generations=4)
    track(uri, longer, rows_of(longer), picture=picture)
    assert held.ask("select run_uuid from runs") == runs
    assert len(held.points) == 2 * 4 * 2
    assert len(held.images) == 2 * 4 * 2
    assert sorted(asked) == [f"picture-chain{i}-{t}" for i in (0, 1) for t in (3, 4)]
    assert set(held.statuses.values()) == {"FINISHED"}


def test_a_stopped_sweep_leaves_nothing_running_and_goes_on(held, uri):
    record = sweep()
    track(uri, record, rows_of(record, up_to=2), {chain.id: "stopped" for chain in record.chains})
    assert set(held.statuses.values()) == {"KILLED"}
    track(uri, record, rows_of(record))
    assert set(held.statuses.values()) == {"FINISHED"}
    assert len(held.points) == 12


def test_a_chain_that_fails_at_once_is_seen_to_have_failed(held, uri):
    record = sweep()
    rows = [row for row in rows_of(record) if row.chain == "chain0"]
    track(uri, record, rows, {"chain0": "finished", "chain1": "failed"})
    assert held.statuses == {"tried": "FAILED", FIRST: "FINISHED", SECOND: "FAILED"}
    before = held.everything
    track(uri, record, rows, {"chain0": "finished", "chain1": "failed"})
    assert held.everything == before


def test_a_run_left_running_is_ended_by_the_next_run(held, uri):
    """Also when its chain has gone from the sweep."""
    track(uri, sweep(), rows_of(sweep()))
    with closing(sqlite3.connect(held.folder / "mlflow.db")) as database:
        database.execute("update runs set status = 'RUNNING', end_time = null")
        database.commit()
    fewer = sweep(chains=1)
    track(uri, fewer, rows_of(fewer))
    assert held.statuses == {"tried": "FINISHED", FIRST: "FINISHED", SECOND: "KILLED"}


def test_other_data_under_the_same_settings_get_a_run_of_their_own(held, uri):
    track(uri, sweep(chains=1), rows_of(sweep(chains=1)))
    other = sweep(chains=1, data="b")
    track(uri, other, rows_of(other))
    assert held.ask(f"select count(*) from runs where name = '{FIRST}'") == [(2,)]
    assert len(held.points) == 12


def test_what_a_person_deletes_is_made_again(held, uri):
    import mlflow

    track(uri, sweep(), rows_of(sweep()))
    before = held.content
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("tried").experiment_id
    client.delete_run(client.search_runs([experiment], "attributes.run_name LIKE '%0.1%'")[0].info.run_id)
    track(uri, sweep(), rows_of(sweep()))
    assert held.points == before[1]
    client.delete_experiment(experiment)
    assert track(uri, sweep(), rows_of(sweep())) == []
    assert {"tried", FIRST, SECOND} == held.statuses.keys()


def test_a_picture_that_cannot_be_read_now_is_written_next_time(held, uri):
    def damaged(key):
        if key.endswith("-2"):
            raise OSError("damaged")
        return png(key)

    record = sweep(chains=1)
    assert track(uri, record, rows_of(record), picture=damaged) == []
    assert len(held.points) == 6
    assert len(held.images) == 4
    track(uri, record, rows_of(record))
    assert len(held.points) == 6
    assert len(held.images) == 6


def test_a_picture_that_is_made_only_later_is_written_in_the_same_run(held, uri):
    """The driver before was killed between the numbers of a generation and its picture."""
    made = threading.Event()

    def late(key):
        if not made.is_set():
            raise LookupError("not made yet")
        return png(key)

    record = sweep(chains=1)
    tracker = Tracker(uri, record, late)
    tracker.start()
    tracker.follow(rows_of(record))
    until = time.monotonic() + 60
    while len(held.points) < 6:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(held.images) == 0
    made.set()
    assert tracker.finish({chain.id: "finished" for chain in record.chains}, {}, 60) == []
    assert len(held.points) == 6
    assert len(held.images) == 6
    assert "RUNNING" not in held.statuses.values()


def test_what_is_no_picture_stops_nothing(held, uri):
    record = sweep(chains=1)
    assert track(uri, record, rows_of(record), picture=lambda key: b"no picture") == []
    assert (len(held.points), held.images) == (6, [])


def test_names_and_values_that_mlflow_would_refuse_are_made_fit(held, uri):
    record = sweep(chains=1, generations=1)
    chain = replace(
        record.chains[0], parameters={"generator.kind=x": "y" * 9000, "mix": {"real": "none", "n": 1.0}}
    )
    record = replace(record, chains=[chain])
    rows = [
        replace(row, numbers={"fid@0.5 (λ)": 1.0, "wide": float("inf")})
        for row in rows_of(record, pictures=False)
    ]
    assert track(uri, record, rows) == []
    assert {point[1] for point in held.points} == {"fid_0.5 _λ_", "wide"}
    assert dict(held.ask("select key, value from params")) == {
        "generator.kind_x": "y" * 500,
        "mix": '{"n":1,"real":"none"}',
    }


def test_many_points_of_one_chain_are_written_whole(held, uri):
    record = sweep(chains=1, generations=1700)
    assert track(uri, record, rows_of(record, pictures=False)) == []
    assert len(held.points) == 3400
    before = held.everything
    track(uri, record, rows_of(record, pictures=False))
    assert held.everything == before


def test_rows_of_other_chains_or_older_numbers_are_passed_over(held, uri):
    record = sweep(chains=1, generations=1)
    row = rows_of(record)[0]
    strangers = [replace(row, chain="gone"), replace(row, key="older"), replace(row, t=2)]
    assert track(uri, record, [*strangers, row]) == []
    assert len(held.points) == 2


def test_a_database_that_breaks_is_told_and_made_up_for(held, uri):
    database = held.folder / "mlflow.db"
    whole = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    (note,) = track(uri, sweep(), rows_of(sweep()), wait_seconds=30)
    assert str(database) in note
    assert "12 points" in note
    assert "next run" in note
    assert "\n" not in note
    database.write_bytes(whole)
    assert track(uri, sweep(), rows_of(sweep())) == []
    assert len(held.points) == 12


DRIVER = """
import sys, time
sys.path[:0] = {path!r}
from test_mlflow_tracker import png, rows_of, sweep
from madray.tracking import Tracker
record = sweep(chains=10)
def slowly(key):
    time.sleep(0.02)
    return png(key)
tracker = Tracker({uri!r}, record, slowly)
tracker.start()
for row in sorted(rows_of(record), key=lambda row: row.t):
    tracker.follow([row])
    time.sleep(0.05)
time.sleep(60)
"""


def test_a_driver_that_is_killed_is_made_up_for(held, uri, tmp_path_factory):
    record = sweep(chains=10)
    never = Held(tmp_path_factory.mktemp("never-killed"))
    shutil.copy(held.folder / "mlflow.db", never.folder)
    track(f"sqlite:///{never.folder}/mlflow.db", record, rows_of(record))

    script = DRIVER.format(path=[str(Path(__file__).parent), str(Path.cwd())], uri=uri)
    for points in (1, 25):  # in the middle of the first flush, and in the middle of a later one
        driver = subprocess.Popen([sys.executable, "-c", script])
        while len(held.points) < points:
            assert driver.poll() is None
            time.sleep(0.01)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        assert "RUNNING" in held.statuses.values()
    assert track(uri, record, rows_of(record)) == []
    assert held.content == never.content
    before = held.everything
    track(uri, record, rows_of(record))
    assert held.everything == before


def test_tracking_is_quiet_and_loads_no_torch(tmp_path):
    script = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path.cwd())]!r}
import madray.tracking
assert "mlflow" not in sys.modules
from test_mlflow_tracker import *
assert track("sqlite:///{tmp_path}/new/mlflow.db", sweep(), rows_of(sweep())) == []
assert not {{"torch", "ray"}} & sys.modules.keys()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextmanager
def server(folder, port):
    """`mlflow server` on this machine."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "mlflow-artifacts")]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).status == 200
    except OSError:
        return False


@pytest.fixture
def port(monkeypatch):
    """A port of this machine that nobody listens to."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_server_that_is_down_costs_one_sentence_without_secrets(port):
    began = time.monotonic()
    uri = f"http://someone:opensesame@127.0.0.1:{port}"
    (note,) = track(uri, sweep(), rows_of(sweep()), wait_seconds=30)
    assert time.monotonic() - began < 25
    assert f"MLflow at http://127.0.0.1:{port} did not answer" in note
    assert "12 points" in note
    assert "next run" in note
    assert "opensesame" not in note


def test_a_server_that_is_too_slow_is_not_waited_for():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes the connection and never answers
        began = time.monotonic()
        (note,) = track(
            f"http://127.0.0.1:{silent.getsockname()[1]}", sweep(), rows_of(sweep()), wait_seconds=1
        )
        assert time.monotonic() - began < 5
    assert "not done within 1 s" in note


@pytest.mark.slow
def test_a_server_that_comes_back_gets_everything_once(held, port):
    uri = f"http://127.0.0.1:{port}"
    record = sweep()
    assert len(track(uri, record, rows_of(record, up_to=2), wait_seconds=30)) == 1
    tracker = Tracker(uri, record, png)
    tracker.start()
    tracker.follow(rows_of(record))
    with server(held.folder, port):
        patience = time.monotonic() + 100
        while not answers(port):
            assert time.monotonic() < patience
            time.sleep(0.2)
        assert tracker.finish({chain.id: "finished" for chain in record.chains}, ARTIFACTS, 60) == []
        assert held.statuses == {"tried": "FINISHED", FIRST: "FINISHED", SECOND: "FINISHED"}
        assert len(held.points) == 12
        assert len(held.images) == 12
        before = held.everything
        assert track(uri, record, rows_of(record)) == []
        assert held.everything == before
