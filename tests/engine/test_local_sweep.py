"""Sweeps carried out in this process: stopped, damaged, failing, growing, and always the same in the end."""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import madray.engine.prepare as preparing
import madray.engine.worker as working
from madray.engine.events import Event, GenerationMade, Note, Progress, WorkFailed, WorkMade
from madray.engine.local import execute_here
from madray.engine.prepare import Prepared, prepare
from madray.engine.sweep import Outcome, run
from madray.engine.worker import Worker
from madray.errors import BadInput, MadrayError
from madray.forest import RECORD
from madray.ledger import Ledger, Row
from madray.plan import Plan
from madray.results import floors
from madray.results import open as open_results
from madray.running import run_chain
from madray.spec.reading import check_sweep
from madray.status import status_of
from madray.store import Store
from madray.table import table, to_csv

PARTS = '''
import json
from pathlib import Path

import numpy as np

from madray.errors import Damaged
from madray.samples import SampleSet


class Blob:
    """N(mean, std) by coordinate; fails where it is told to; as slow as a generator of any length."""

    version = 1
    takes_zero_bias = True
    chunk = 40
    milliseconds = False

    def __init__(self, broken_if="", broken_at=0, unreadable_if=""):
        self.broken_if, self.broken_at, self.unreadable_if = broken_if, broken_at, unreadable_if

    classes = None

    def fit(self, samples, *, stream, checkpoint, progress):
        for step in range(3):
            progress(step, 3)
        if self.broken_if and Path(self.broken_if).exists() and stream.path[1] == self.broken_at:
            raise RuntimeError("told to break")
        points = samples.flat().astype(float)
        self.mean, self.std = points.mean(0), points.std(0)

    def sample(self, n, *, bias, stream, labels):
        noise = stream.numpy().standard_normal((n, len(self.mean)))
        return SampleSet((self.mean + bias**0.5 * self.std * noise).astype(np.float32))

    def save(self, folder):
        told = {"mean": self.mean.tolist(), "std": self.std.tolist()}
        (folder / "blob.json").write_text(json.dumps(told))

    def load(self, folder):
        if self.unreadable_if and Path(self.unreadable_if).exists():
            raise Damaged("of another format")
        told = json.loads((folder / "blob.json").read_text())
        self.mean, self.std = np.array(told["mean"]), np.array(told["std"])


class Labelled(Blob):
    """Samples as many of each label as it is told to; remembers what it was trained on."""

    @property
    def classes(self):
        return 2

    def fit(self, samples, **_):
        super().fit(samples, **_)

    def sample(self, n, *, bias, stream, labels):
        return SampleSet(np.stack([labels, labels], axis=1).astype(np.float32), labels, 2)
'''

CHAIN: dict[str, Any] = {
    "reference": {"kind": "gaussian", "d": 2},
    "generator": "local_sweep_parts:Blob",
    "loop": "fully_synthetic",
    "n_ini": 60,
    "n_s": 50,
    "n_eval": 45,
    "generations": 3,
    "metrics": ["variance", "fid"],
}
GRID = {"loop": ["fully_synthetic", "fresh_data"], "lambda": [1.0, 0.5]}
SWEEP: dict[str, Any] = {"name": "sweep", "chain": {**CHAIN, "n_r": 30}, "grid": GRID}
ONE: dict[str, Any] = {"name": "one", "chain": CHAIN}


@pytest.fixture(scope="module", autouse=True)
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A module of generators as a user writes them."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "local_sweep_parts.py").write_text(PARTS)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield importlib.import_module("local_sweep_parts")
    sys.path.remove(str(folder))


class Watched(Store):
    """Counts commits and writes, and dies before write `dies_at`, as a killed process would."""

    def __init__(self, place: Path, dies_at: int | None = None) -> None:
        opened = Store.open(place)
        super().__init__(opened._fs, opened._root, opened.uri)
        self.commits: list[tuple[str, str]] = []
        self.reads: list[tuple[str, str]] = []
        self.puts = 0
        self.dies_at = dies_at

    def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        super().commit(kind, key, files)
        self.commits.append((kind, key))

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        self.reads.append((kind, key))
        return super().read(kind, key, *names)

    def put(self, path: str, data: bytes) -> None:
        if self.puts == self.dies_at:
            raise KeyboardInterrupt
        self.puts += 1
        super().put(path, data)

    def kinds(self) -> Counter[str]:
        return Counter(kind for kind, _ in self.commits)


class Recorded:
    """Keeps what a user would see."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.events: list[Event] = []

    def begin(self, plan: Plan) -> None:
        self.plans.append(plan)

    def event(self, event: Event) -> None:
        self.events.append(event)


class Follows:
    """Keeps the rows that MLflow would be shown."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def follow(self, rows: Sequence[Row]) -> None:
        self.rows += rows


@dataclass
class Ran:
    """What came of a run."""

    prepared: Prepared
    outcome: Outcome
    seen: Recorded
    followed: list[Row]
    notes: list[str] = field(default_factory=list)

    @property
    def csv(self) -> bytes:
        return to_csv(table(self.prepared.record, self.outcome.rows))

    @property
    def fits(self) -> int:
        return sum(event.fitted for event in self.seen.events if isinstance(event, GenerationMade))


def go(
    raw: Mapping[str, Any], store: Store, *, data: Path | None = None, executor: Any = execute_here
) -> Ran:
    """Prepare a sweep and run it here."""
    prepared = prepare(check_sweep(copy.deepcopy(dict(raw)), name="test"), store=store, data=data)
    notes = [*prepared.notes, *store.notes]
    store.notes.clear()
    seen, follows = Recorded(), Follows()
    outcome = run(prepared, executor=executor, display=seen, follower=follows)
    notes += [event.text for event in seen.events if isinstance(event, Note)]
    return Ran(prepared, outcome, seen, follows.rows, notes)


def nothing_to_do(*_: Any) -> None:
    raise AssertionError("expected nothing to be left to do")


def contents(store: Store, ran: Ran) -> dict[tuple[str, str], dict[str, bytes]]:
    """The bytes of all artifacts of a sweep, but for records, which say when and how long."""
    found = {}
    for kind, key in ran.prepared.targets.forest.artifacts():
        if store.has(kind, key):
            files = store.read(kind, key)
            found[kind, key] = {name: data for name, data in files.items() if name != RECORD}
    return found


def written(place: Path) -> bytes:
    """The table of the sweep as `madray table` writes it: from the ledger alone."""
    ledger = Ledger(Store.open(place), Ledger.names(Store.open(place))[0])
    return to_csv(table(ledger.record(), ledger.rows()))


def variant(raw: Mapping[str, Any], **chain: Any) -> dict[str, Any]:
    """The same sweep with some fields of its chain changed."""
    return {**raw, "chain": {**raw["chain"], **chain}}


@pytest.fixture(scope="module")
def never_stopped(parts: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    place = tmp_path_factory.mktemp("never-stopped")
    return place, go(SWEEP, Watched(place))


# The same in the end


def test_a_sweep_makes_every_generation_draw_measurement_and_picture_once(
    never_stopped: tuple[Path, Ran],
) -> None:
    place, ran = never_stopped
    store = ran.prepared.store
    assert isinstance(store, Watched)
    assert max(Counter(store.commits).values()) == 1
    assert set(store.commits) == set(ran.prepared.targets.forest.artifacts())
    assert store.kinds()["generations"] == ran.fits == 1 + 4 * 2
    assert set(ran.outcome.states.values()) == {"finished"}
    assert written(place) == ran.csv
    assert len(ran.csv.splitlines()) == 1 + 4 * 3


def test_a_draw_that_several_cells_use_is_sampled_once(tmp_path: Path) -> None:
    store = Watched(tmp_path)
    ran = go({**SWEEP, "grid": {"loop": ["fully_synthetic", "fresh_data", "synthetic_augmentation"]}}, store)
    first = ran.prepared.targets.forest.made[ran.prepared.targets.forest.chains[0].generations[0]]
    assert len(first.children) == 3  # generation 2 of each loop is trained on samples of generation 1
    for draw in first.outputs.values():
        for chunk in draw.chunk_keys():
            assert store.commits.count(("draws", chunk)) == 1


def stops(raw: Mapping[str, Any], tmp_path: Path) -> Iterator[tuple[Ran, Watched, Ran, Watched]]:
    """A sweep stopped before each of its writes and run again: a run never stopped, with its store, the store
    that died, and the run that went on, with its store."""
    whole = Watched(tmp_path / "whole")
    expected = go(raw, whole)
    for dies_at in range(whole.puts):
        place = tmp_path / str(dies_at)
        dying = Watched(place, dies_at)
        with pytest.raises(KeyboardInterrupt):
            if go(raw, dying).outcome.stopped:
                raise KeyboardInterrupt
        store = Watched(place)
        again = go(raw, store)
        assert again.csv == written(place) == expected.csv
        assert again.notes == []
        yield expected, dying, again, store
        shutil.rmtree(place)


def test_stopped_before_any_write_and_run_again_everything_is_the_same_and_made_once(tmp_path: Path) -> None:
    stopped = 0
    for expected, dying, again, store in stops(ONE, tmp_path):
        assert contents(store, again) == contents(expected.prepared.store, expected)
        made = Counter([*dying.commits, *store.commits])
        assert set(made) == set(expected.prepared.targets.forest.artifacts())
        assert max(made.values()) == 1
        stopped += 1
    assert stopped > 40


def test_models_of_milliseconds_stopped_before_any_write_are_the_same_when_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any
) -> None:
    monkeypatch.setattr(parts.Blob, "milliseconds", True)
    for expected, _, again, store in stops(SWEEP, tmp_path):
        assert contents(store, again) == contents(expected.prepared.store, expected)


def test_with_keep_last_stopped_before_any_write_the_last_is_the_same_and_nothing_is_fitted_twice(
    tmp_path: Path,
) -> None:
    raw = {**variant(ONE, metrics=["variance"]), "keep": "last"}
    for expected, dying, again, store in stops(raw, tmp_path):
        found = contents(store, again)
        for pair, files in contents(expected.prepared.store, expected).items():
            assert files.items() <= found[pair].items()
        fits = Counter(pair for pair in [*dying.commits, *store.commits] if pair[0] == "generations")
        assert max(fits.values()) == 1
        # What the killed run held at that moment stays: the model that was used, and the one made of it.
        assert sum(weights(store, again).values()) <= 3


def test_a_finished_sweep_run_again_writes_nothing_and_gives_nobody_work(
    never_stopped: tuple[Path, Ran],
) -> None:
    place, before = never_stopped
    store = Watched(place)
    ran = go(SWEEP, store, executor=nothing_to_do)
    assert ran.prepared.plan.complete
    assert store.puts == 0
    assert ran.csv == before.csv
    assert ran.seen.events == []


def test_shuffled_cells_and_workers_make_the_same_table(
    never_stopped: tuple[Path, Ran], tmp_path: Path
) -> None:
    grid = {name: values[::-1] for name, values in GRID.items()}
    ran = go({**SWEEP, "grid": grid, "resources": {"concurrent": 7}}, Watched(tmp_path))
    assert ran.csv == never_stopped[1].csv


def test_shuffled_cells_that_are_measured_differently_make_the_same_table(tmp_path: Path) -> None:
    chain = {name: value for name, value in CHAIN.items() if name != "metrics"}
    raw = {**ONE, "chain": {**chain, "n_ini": 100}}
    generators = ["gaussian", {"kind": "gmm", "components": 2}]
    tables = {
        go({**raw, "grid": {"generator": order}}, Watched(tmp_path / str(index))).csv
        for index, order in enumerate((generators, generators[::-1]))
    }
    assert len(tables) == 1
    assert b"nan" in tables.pop()  # a mixture has no w2, a Gaussian chain no fid


def test_models_of_milliseconds_go_into_bundles_and_come_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any, never_stopped: tuple[Path, Ran]
) -> None:
    monkeypatch.setattr(parts.Blob, "milliseconds", True)
    store = Watched(tmp_path)
    ran = go(SWEEP, store)
    assert ran.csv == never_stopped[1].csv
    assert set(store.kinds()) == {"bundles", "features", "measurements"}  # floors belong to the real side
    assert store.kinds()["bundles"] == 4  # generation 1, and the rest of four chains for two workers
    place, whole = never_stopped
    alone = {
        pair: files for pair, files in contents(Store.open(place), whole).items() if pair[0] != "pictures"
    }
    assert contents(Store.open(tmp_path), ran) == alone
    assert go(SWEEP, Watched(tmp_path), executor=nothing_to_do).prepared.plan.complete


def test_chunks_and_threads_are_settings_and_concurrency_is_not(tmp_path: Path) -> None:
    plans = [
        prepare(
            check_sweep({**ONE, "resources": resources}, name="test"), store=Store.open(tmp_path), data=None
        )
        for resources in ({}, {"cpus": 2, "concurrent": 3, "threads": 2, "checkpoint_seconds": 1})
    ]
    assert plans[0].targets.forest.chains == plans[1].targets.forest.chains


def test_two_sweeps_share_what_they_have_in_common(never_stopped: tuple[Path, Ran], tmp_path: Path) -> None:
    place = tmp_path / "store"
    shutil.copytree(never_stopped[0], place)
    store = Watched(place)
    ran = go({**ONE, "name": "another", "grid": {"lambda": [1.0, 0.25]}}, store)
    assert ran.fits == 2  # λ = 1 of the fully synthetic loop and generation 1 were there
    assert store.kinds()["generations"] == 2


def test_growing_the_grid_or_the_chain_makes_the_new_part_alone(
    never_stopped: tuple[Path, Ran], tmp_path: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(never_stopped[0], place)
    wider = {**SWEEP, "grid": {**GRID, "lambda": [1.0, 0.5, 0.25]}}
    store = Watched(place)
    assert go(wider, store).fits == store.kinds()["generations"] == 2 * 2
    longer = variant(wider, generations=4)
    store = Watched(place)
    ran = go(longer, store)
    assert ran.fits == store.kinds()["generations"] == 6
    assert not ran.prepared.plan.complete
    fresh = go(longer, Watched(tmp_path / "at once"))
    assert ran.csv == fresh.csv
    assert contents(store, ran) == contents(fresh.prepared.store, fresh)


def test_metrics_added_later_are_measured_without_a_fit(
    never_stopped: tuple[Path, Ran], tmp_path: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(never_stopped[0], place)
    more = variant(SWEEP, metrics=["variance", "fid", "precision_recall"])
    store = Watched(place)
    ran = go(more, store)
    assert ran.fits == 0
    assert set(store.kinds()) == {"measurements"}
    assert ran.csv == go(more, Watched(tmp_path / "at once")).csv


# What is in the table


def test_a_further_lambda_has_columns_of_its_own_and_scales_the_variance_exactly(tmp_path: Path) -> None:
    raw = variant(ONE, generator="gaussian", measure_bias=[1.0, 0.25], metrics=["variance"])
    ran = go({**raw, "grid": {"lambda": [1.0, 0.25]}}, Watched(tmp_path))
    made = table(ran.prepared.record, ran.outcome.rows).to_pandas()
    assert list(made.columns[3:]) == ["variance", "variance_at_lambda_1", "variance_at_lambda_0.25"]
    # Samples at λ are μ + √λ (x − μ) of those at 1: the same noise. Rounding to float32 is all that differs.
    np.testing.assert_allclose(made["variance_at_lambda_0.25"], made["variance_at_lambda_1"] / 4, rtol=1e-5)
    for bias, column in ((1.0, "variance_at_lambda_1"), (0.25, "variance_at_lambda_0.25")):
        own = made[made["lambda"] == bias]
        assert own["variance"].tolist() == own[column].tolist()
    assert not made.isna().any().any()


def test_w2_of_a_gaussian_chain_is_that_of_its_fitted_moments(tmp_path: Path) -> None:
    results = run_chain({**CHAIN, "generator": "gaussian", "metrics": ["w2"], "lambda": 0.5}, store=tmp_path)
    for t, squared in enumerate(results.arrow().column("w2_squared").to_pylist(), start=1):
        model: Any = results.generation({}, t).model()
        spectrum = np.linalg.eigvalsh(model.covariance)  # against N(0, 1): |μ|² + Σ (√e − 1)²
        exact = float(model.mean @ model.mean + np.sum((np.sqrt(spectrum) - 1) ** 2))
        assert squared == pytest.approx(exact, rel=1e-9)


def skewed(folder: Path) -> dict[str, Any]:
    """A labelled reference of which one sample in ten has label 1."""
    labels = np.arange(4000) % 10 == 0
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(8000, np.float32)), 2)
    pq.write_table(pa.table({"x": values, "label": pa.array(labels.astype(np.int64))}), folder / "x.parquet")
    return {"kind": "parquet", "path": "x.parquet"}


@pytest.mark.parametrize(("labels", "share"), [("uniform", 0.5), ("empirical", 0.1)])
def test_labels_are_uniform_or_as_frequent_as_in_the_training_set(
    tmp_path: Path, labels: str, share: float
) -> None:
    chain = {
        **CHAIN,
        "reference": skewed(tmp_path),
        "generator": "local_sweep_parts:Labelled",
        "labels": labels,
    }
    chain |= {"n_ini": 3000, "n_s": 3000, "generations": 2, "metrics": ["variance"]}
    results = run_chain(chain, store=tmp_path / "store", data=tmp_path)
    store = Store.open(tmp_path / "store")
    key = results.generation({}, 2).key
    counts = json.loads(store.read("generations", key, RECORD)[RECORD])["label_counts"]
    # A binomial of 3000 draws: five standard deviations, an error in 10⁶ runs (and the seed is fixed).
    assert abs(counts[1] / 3000 - share) < 5 * (share * (1 - share) / 3000) ** 0.5 + 0.01 * (
        labels == "empirical"
    )
    assert sum(counts) == 3000


def test_the_floor_of_each_comparison_is_stored(never_stopped: tuple[Path, Ran]) -> None:
    place, ran = never_stopped
    found = floors(Store.open(place), ran.prepared.record)
    assert list(found) == ["fid"]
    assert 0 < found["fid"] < 1


def test_rows_say_what_fits_took_and_where_nobody_knows_nothing(tmp_path: Path) -> None:
    ran = go(ONE, Watched(tmp_path))
    rows = list(ran.outcome.rows.values())
    assert all(row.seconds > 0 and row.size_bytes > 0 for row in rows)
    assert [row.n for row in rows] == [60, 50, 50]
    shutil.rmtree(tmp_path / "sweeps" / "one" / "rows")
    again = go(ONE, Watched(tmp_path), executor=nothing_to_do)
    assert all(np.isnan(row.seconds) for row in again.outcome.rows.values())


# What is lost


def test_lost_rows_come_from_the_store_without_any_work(
    never_stopped: tuple[Path, Ran], tmp_path: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(never_stopped[0], place)
    shutil.rmtree(place / "sweeps" / "sweep" / "rows")
    ran = go(SWEEP, Watched(place), executor=nothing_to_do)
    assert ran.csv == written(place) == never_stopped[1].csv
    assert len(ran.followed) == 12


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x20
    path.write_bytes(bytes(data))


def files_of(place: Path, kind: str) -> list[Path]:
    return sorted(path for path in place.glob(f"{kind}/*/*/*") if path.is_file())


@pytest.mark.parametrize("budget", [None, 0])
@pytest.mark.parametrize("kind", ["generations", "draws", "measurements", "pictures", "features"])
def test_a_damaged_file_is_said_and_made_again_and_nothing_else_is_touched(
    never_stopped: tuple[Path, Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    budget: int | None,
) -> None:
    if budget is not None:  # what lies beyond the budget is found when it is read, and so is a changed length
        monkeypatch.setattr(preparing, "_CHECKED_LOCAL", budget)
    place = tmp_path / "store"
    shutil.copytree(never_stopped[0], place)
    path = files_of(place, kind)[3 if kind != "features" else 0]
    if budget is None:
        flip(path)
    else:
        path.write_bytes(path.read_bytes()[:-1])
    key = path.parents[1].name
    store = Watched(place)
    ran = go(SWEEP, store)
    assert any(key in note for note in ran.notes)
    assert store.commits == [(kind, key)]
    assert ran.csv == written(place) == never_stopped[1].csv
    assert contents(store, ran) == contents(Store.open(never_stopped[0]), never_stopped[1])
    assert go(SWEEP, Watched(place), executor=nothing_to_do).notes == []


def test_damage_that_is_found_on_the_way_is_mended_in_a_second_round(
    never_stopped: tuple[Path, Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "_CHECKED_LOCAL", 0)
    place = tmp_path / "store"
    shutil.copytree(never_stopped[0], place)
    store = Watched(place)
    forest = never_stopped[1].prepared.targets.forest
    parent, child = forest.chains[0].generations[1:]
    [draw] = forest.made[child].training
    store.delete("generations", child)  # to be fitted again, from samples that are damaged …
    for chunk in draw.chunk_keys():
        [path] = place.glob(f"draws/{chunk}/*/samples.parquet")
        flip(path)
    [path] = place.glob(f"generations/{parent}/*/blob.json")
    flip(path)  # … of a model that is damaged as well
    ran = go(SWEEP, store)
    assert len(ran.seen.plans) == 2
    assert [event.damaged for event in ran.seen.events if isinstance(event, WorkFailed)] == [True]
    assert len(ran.notes) == len(list(draw.chunk_keys())) + 1
    assert ran.outcome.failures == []
    assert {key for kind, key in store.commits if kind == "generations"} == {parent, child}
    assert ran.csv == written(place) == never_stopped[1].csv


def test_a_damaged_bundle_is_said_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any, never_stopped: tuple[Path, Ran]
) -> None:
    monkeypatch.setattr(parts.Blob, "milliseconds", True)
    go(SWEEP, Watched(tmp_path))
    path = files_of(tmp_path, "bundles")[-1]
    flip(path)
    store = Watched(tmp_path)
    ran = go(SWEEP, store)
    assert any(path.parents[1].name in note for note in ran.notes)
    assert ran.csv == written(tmp_path) == never_stopped[1].csv
    assert set(store.kinds()) == {"bundles"}
    assert go(SWEEP, Watched(tmp_path), executor=nothing_to_do).notes == []


@pytest.mark.parametrize("name", ["samples.parquet", "facts.json"])
def test_a_damaged_reference_is_read_again_from_the_data(tmp_path: Path, name: str) -> None:
    raw = variant(ONE, reference=skewed(tmp_path))
    place = tmp_path / "store"
    expected = go(raw, Watched(place), data=tmp_path)
    [path] = place.glob(f"references/*/*/{name}")
    flip(path)
    longer = variant(raw, generations=4, loop="real_only", n_r=30)
    longer["chain"].pop("n_s")
    ran = go(longer, Watched(place), data=tmp_path)
    assert len(ran.notes) == 1
    assert ran.csv == go(longer, Watched(tmp_path / "other"), data=tmp_path).csv
    assert len(expected.csv) > 0


def test_data_that_was_read_once_need_not_be_at_hand_again(tmp_path: Path) -> None:
    raw = variant(ONE, reference=skewed(tmp_path))
    expected = go(raw, Watched(tmp_path / "store"), data=tmp_path)
    (tmp_path / "x.parquet").unlink()
    longer = go(variant(raw, generations=4), Watched(tmp_path / "store"), data=None)
    assert longer.fits == 1
    assert longer.csv.splitlines()[:4] == expected.csv.splitlines()
    with pytest.raises(BadInput, match=r"chain\.reference"):
        go(raw, Watched(tmp_path / "empty"), data=None)


def test_what_stays_unreadable_is_a_failure_in_the_end(tmp_path: Path) -> None:
    switch = tmp_path / "unreadable"
    generator = {"kind": "local_sweep_parts:Blob", "unreadable_if": str(switch)}
    go(variant(ONE, generator=generator), Watched(tmp_path / "store"))
    switch.touch()
    raw = variant(ONE, generator=generator, metrics=["variance", "w2"])
    ran = go(raw, Watched(tmp_path / "store"))
    assert len(ran.seen.plans) == 3
    assert [failure.error for failure in ran.outcome.failures] == ["Damaged: of another format"]
    assert set(ran.outcome.states.values()) == {"failed"}
    with pytest.raises(MadrayError, match="another format"):
        run_chain(raw["chain"], name="one", store=tmp_path / "store")


def test_a_generator_that_saves_nothing_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any
) -> None:
    monkeypatch.setattr(parts.Blob, "save", lambda self, folder: None)
    [failure] = go(ONE, Watched(tmp_path)).outcome.failures
    assert "local_sweep_parts:Blob" in failure.error


# What is kept


def weights(store: Store, ran: Ran) -> dict[str, bool]:
    keys = ran.prepared.targets.forest.made
    return {key: set(store.read("generations", key)) != {RECORD} for key in keys}


@pytest.mark.parametrize("keep", ["last", "every 2"])
@pytest.mark.parametrize("milliseconds", [False, True])
def test_keep_governs_weights_and_samples_and_never_records_or_the_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: Any,
    never_stopped: tuple[Path, Ran],
    keep: str,
    milliseconds: bool,
) -> None:
    monkeypatch.setattr(parts.Blob, "milliseconds", milliseconds)
    raw = {**SWEEP, "keep": keep}
    store = Watched(tmp_path)
    ran = go(raw, store)
    assert ran.csv == never_stopped[1].csv
    assert ran.fits == 9
    kept = {key: one.kept for key, one in ran.prepared.targets.forest.made.items()}
    for key, has_weights in weights(store, ran).items():
        shared = len(ran.prepared.targets.forest.made[key].chains) > 1
        assert has_weights == (kept[key] or (milliseconds and shared)), "bundles keep what is released later"
    assert go(raw, Watched(tmp_path), executor=nothing_to_do).prepared.plan.complete


@pytest.mark.parametrize("milliseconds", [False, True])
def test_a_worker_that_goes_on_where_another_died_fits_nothing_again_that_was_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any, milliseconds: bool
) -> None:
    monkeypatch.setattr(parts.Blob, "milliseconds", milliseconds)
    raw = {**variant(ONE, generations=5), "keep": "last"}
    prepared = prepare(check_sweep(raw, name="test"), store=Store.open(tmp_path / "plan"), data=None)
    for dies_at in range(0, 60, 4):
        place = tmp_path / str(dies_at)
        dying, store = Watched(place, None), Watched(place)
        events: list[Event] = []
        Worker(dying, checkpoint_seconds=60).carry_out(prepared.plan.real, events.append)
        dying.dies_at = dying.puts + dies_at
        with contextlib.suppress(KeyboardInterrupt):
            Worker(dying, checkpoint_seconds=60).carry_out(prepared.plan.segments, events.append)
        events.clear()
        Worker(store, checkpoint_seconds=60).carry_out(prepared.plan.segments, events.append)
        assert [type(event) for event in events if not isinstance(event, Progress)] == [
            GenerationMade
        ] * 5 + [WorkMade]
        told = {key for event in events if isinstance(event, GenerationMade) for key in event.numbers}
        assert told == {key for one in prepared.targets.forest.made.values() for key in one.measurements}
        before = 5 if dying.kinds()["bundles"] else dying.kinds()["generations"]
        assert sum(event.fitted for event in events if isinstance(event, GenerationMade)) == 5 - before
        assert store.kinds()["generations"] == (0 if milliseconds else 5 - before)


@pytest.mark.parametrize("keep", ["last", "every 2"])
def test_a_long_chain_of_milliseconds_is_stored_and_told_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any, keep: str
) -> None:
    monkeypatch.setattr(parts.Blob, "milliseconds", True)
    monkeypatch.setattr(working, "BATCH_SECONDS", 0.0)  # a bundle a generation
    raw = {**variant(ONE, generations=5), "keep": keep}
    whole = go(raw, Watched(tmp_path / "whole"))
    for dies_at in range(0, 30, 3):
        place = tmp_path / str(dies_at)
        dying = Watched(place, None)
        prepared = prepare(check_sweep(raw, name="test"), store=dying, data=None)
        told: list[str] = []

        def tell(event: Event, place: Path = place, told: list[str] = told) -> None:
            if isinstance(event, GenerationMade):
                assert Store.open(place).has("generations", event.generation, RECORD)
                told.append(event.generation)

        Worker(dying, checkpoint_seconds=60).carry_out(prepared.plan.real, tell)
        dying.dies_at = dying.puts + dies_at
        with contextlib.suppress(KeyboardInterrupt):
            Worker(dying, checkpoint_seconds=60).carry_out(prepared.plan.segments, tell)
        again = go(raw, Watched(place))
        assert len(told) == min(dying.kinds()["bundles"], 5)
        assert again.fits == 5 - len(told)
        assert again.csv == whole.csv


def test_all_that_several_segments_shared_goes_when_the_last_of_them_is_made(tmp_path: Path) -> None:
    loop = {"real": "none", "synthetic": "memory", "split": "equal"}
    raw = {**variant(ONE, loop=loop, generations=6), "grid": {"memory": [3, 4]}, "keep": "last"}
    store = Watched(tmp_path)
    ran = go(raw, store)
    releases = [release.after for release in ran.prepared.plan.releases]
    assert len(set(releases)) < len(releases)  # generations 2, 3 and 4 are used by the same segments
    lasts = {chain.generations[-1] for chain in ran.prepared.targets.forest.chains}
    assert {key for key, has_weights in weights(store, ran).items() if has_weights} == lasts
    assert set(store.names("draws")) == {
        chunk
        for key in lasts
        for draw in ran.prepared.targets.forest.made[key].outputs.values()
        for chunk in draw.chunk_keys()
    }


def test_from_keep_last_to_keep_all_what_went_is_made_again_and_the_table_stays(
    tmp_path: Path, never_stopped: tuple[Path, Ran]
) -> None:
    go({**SWEEP, "keep": "last"}, Watched(tmp_path))
    store = Watched(tmp_path)
    ran = go(SWEEP, store)
    assert ran.csv == never_stopped[1].csv
    assert all(weights(store, ran).values())
    assert contents(store, ran) == contents(Store.open(never_stopped[0]), never_stopped[1])
    assert go(SWEEP, Watched(tmp_path), executor=nothing_to_do).prepared.plan.complete


def test_a_sweep_that_keeps_the_last_takes_nothing_from_one_that_keeps_all(
    tmp_path: Path, never_stopped: tuple[Path, Ran]
) -> None:
    place = tmp_path / "store"
    shutil.copytree(never_stopped[0], place)
    go({**SWEEP, "name": "another", "grid": {**GRID, "lambda": [1.0, 0.25]}, "keep": "last"}, Watched(place))
    go(SWEEP, Watched(place), executor=nothing_to_do)


# What fails


def failing(switch: Path, at: int = 2) -> dict[str, Any]:
    """Two cells, of which one breaks while the switch is there."""
    fine = {"kind": "local_sweep_parts:Blob"}
    broken = {**fine, "broken_if": str(switch), "broken_at": at}
    return {**ONE, "grid": {"generator": [broken, fine]}}


@pytest.mark.parametrize("milliseconds", [False, True])
def test_an_exception_fails_its_cell_alone_and_status_shows_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any, milliseconds: bool
) -> None:
    monkeypatch.setattr(parts.Blob, "milliseconds", milliseconds)
    switch = tmp_path / "broken"
    switch.touch()
    store = Watched(tmp_path / "store")
    raw = failing(switch)
    ran = go(raw, store)
    [failure] = ran.outcome.failures
    assert (failure.t, failure.error) == (2, "RuntimeError: told to break")
    assert "in fit" in failure.traceback and "told to break" in failure.traceback
    assert sorted(ran.outcome.states.values()) == ["failed", "finished"]
    told = status_of(store, "one")
    assert [(chain["finished"], chain["state"]) for chain in told["chains"]] == [
        (1, "failed"),
        (3, "finished"),
    ]
    assert told["generations"] == {"finished": 4, "all": 6}
    assert [each["traceback"] for each in told["failures"]] == [failure.traceback]

    still = go(raw, Watched(tmp_path / "store"))  # it is tried again, and fails again
    assert len(still.outcome.failures) == 1
    assert still.fits == 0
    switch.unlink()
    mended = go(raw, Watched(tmp_path / "store"))
    assert mended.fits == 2
    assert set(mended.outcome.states.values()) == {"finished"}
    assert status_of(store, "one")["failures"] == []
    assert mended.csv == go(raw, Watched(tmp_path / "other")).csv


def test_a_failure_of_a_shared_generation_fails_every_chain_that_needs_it(tmp_path: Path) -> None:
    switch = tmp_path / "broken"
    switch.touch()
    generator = {"kind": "local_sweep_parts:Blob", "broken_if": str(switch), "broken_at": 1}
    ran = go(variant(SWEEP, generator=generator), Watched(tmp_path / "store"))
    [failure] = ran.outcome.failures
    assert len(failure.chains) == 4
    assert set(ran.outcome.states.values()) == {"failed"}
    assert ran.outcome.rows == {}


def test_a_failure_is_not_tried_again_in_the_round_that_mends_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "_CHECKED_LOCAL", 0)
    switch, place = tmp_path / "broken", tmp_path / "store"
    raw = {**failing(switch, at=3), "keep": "all"}
    fine = go({**raw, "grid": {}}, Watched(place))
    line = fine.prepared.targets.forest.chains[0].generations
    store = Watched(place)
    store.delete("generations", line[2])
    [draw] = fine.prepared.targets.forest.made[line[2]].training
    for pattern in [
        *(f"draws/{chunk}/*/*" for chunk in draw.chunk_keys()),
        f"generations/{line[1]}/*/blob.json",
    ]:
        [path] = place.glob(pattern)
        flip(path)
    switch.touch()
    ran = go(raw, store)
    assert len(ran.seen.plans) == 2
    assert len(ran.outcome.failures) == 1
    assert sum(isinstance(event, WorkFailed) and not event.damaged for event in ran.seen.events) == 1
    assert sorted(ran.outcome.states.values()) == ["failed", "finished"]


def test_a_failure_of_a_generator_that_was_changed_since_is_no_longer_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any
) -> None:
    switch = tmp_path / "broken"
    switch.touch()
    raw = variant(ONE, generator={"kind": "local_sweep_parts:Blob", "broken_if": str(switch), "broken_at": 3})
    store = Watched(tmp_path / "store")
    go(raw, store)
    assert len(status_of(store, "one")["failures"]) == 1
    monkeypatch.setattr(parts.Blob, "version", 2)

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    assert go(raw, store, executor=stopped).outcome.stopped
    told = status_of(store, "one")
    assert told["failures"] == []
    assert [chain["state"] for chain in told["chains"]] == ["unfinished"]


def test_a_store_that_fills_up_fails_what_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any
) -> None:
    monkeypatch.setattr(parts.Blob, "milliseconds", True)

    class Full(Watched):
        def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
            if kind == "bundles":
                raise BadInput("no space left")
            super().commit(kind, key, files)

    ran = go(SWEEP, Full(tmp_path))
    assert {failure.error for failure in ran.outcome.failures} == {"BadInput: no space left"}
    assert ran.outcome.rows == {}
    assert set(ran.outcome.states.values()) == {"failed"}


# What is shown


def test_ctrl_c_stops_and_what_was_made_is_written_down(tmp_path: Path) -> None:
    made: list[Event] = []

    class Impatient(Recorded):
        def event(self, event: Event) -> None:
            super().event(event)
            if isinstance(event, GenerationMade):
                made.append(event)
                if len(made) == 2:
                    raise KeyboardInterrupt

    prepared = prepare(check_sweep(ONE, name="test"), store=Store.open(tmp_path), data=None)
    outcome = run(prepared, executor=execute_here, display=Impatient())
    assert outcome.stopped
    assert list(outcome.states.values()) == ["stopped"]
    assert len(written(tmp_path).splitlines()) == 1 + 2
    assert go(ONE, Watched(tmp_path)).fits == 1


def test_a_follower_sees_every_row_of_the_sweep_once_a_run(tmp_path: Path) -> None:
    switch = tmp_path / "broken"
    switch.touch()
    raw = failing(switch, at=3)
    first = go(raw, Watched(tmp_path / "store"))
    assert Counter((row.chain, row.t) for row in first.followed) == Counter(
        {(row.chain, row.t): 1 for row in first.outcome.rows.values()}
    )
    assert len(first.followed) == 2 + 3
    switch.unlink()
    second = go(raw, Watched(tmp_path / "store"))
    assert max(Counter((row.chain, row.t) for row in second.followed).values()) == 1
    assert len(second.followed) == 6
    third = go(raw, Watched(tmp_path / "store"), executor=nothing_to_do)
    assert sorted(map(repr, third.followed)) == sorted(map(repr, second.followed))


def test_a_follower_is_not_shown_rows_that_the_sweep_no_longer_asks_for(tmp_path: Path) -> None:
    go(SWEEP, Watched(tmp_path))
    ran = go({**SWEEP, "grid": {**GRID, "lambda": [1.0]}}, Watched(tmp_path), executor=nothing_to_do)
    assert {row.chain for row in ran.followed} == {chain.id for chain in ran.prepared.record.chains}
    assert len(ran.followed) == 2 * 3


# One chain


def test_run_chain_measures_a_mixture(tmp_path: Path) -> None:
    chain = {"reference": "gmm25", "generator": {"kind": "gmm", "components": 25}}
    chain |= {"loop": "fully_synthetic", "lambda": 0.5, "n_ini": 300, "n_s": 200, "n_eval": 200}
    chain |= {"generations": 3}
    results = run_chain(chain, store=tmp_path, seed=3)
    made = results.table()
    assert {"seed", "generation", "variance", "modal_variance"} <= {*made.columns}
    assert made["seed"].tolist() == [3, 3, 3]
    assert made["modal_variance"].is_monotonic_decreasing
    assert not made.isna().any().any()
    before = to_csv(results.arrow())
    assert to_csv(run_chain(chain, store=tmp_path, seed=3).arrow()) == before
    assert to_csv(run_chain(chain, seed=3).arrow()) == before
    assert open_results(tmp_path)["chain"].table().equals(made)


@pytest.mark.parametrize("generator", ["gaussian", {"kind": "gmm", "components": 3}])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_collapse_is_a_result_and_never_an_error(generator: Any, n: int, bias: float) -> None:
    chain = {"reference": "gmm25", "generator": generator, "loop": "fully_synthetic", "lambda": bias}
    made = run_chain({**chain, "n_ini": 30, "n_s": n, "n_eval": 20, "generations": 4}).table()
    assert len(made) == 4
    # One point, or λ = 0 of one Gaussian, has no variance left but what EM's regularization adds (√1e-6).
    if n == 1 or (bias == 0 and generator == "gaussian"):
        assert (made["variance"][1:] < 1e-4).all()
    assert made[["fid", "precision", "recall", "modes"]].notna().all().all()


def test_collapsed_digits_are_a_result(tmp_path: Path) -> None:
    generator = {"kind": "wgan_gp", "width": 2, "latent": 2, "steps": 1, "batch": 2}
    chain = {"reference": "digits", "generator": generator, "loop": "fully_synthetic", "lambda": 0.0}
    made = run_chain({**chain, "n_ini": 50, "n_s": 1, "n_eval": 30, "generations": 3}, store=tmp_path).table()
    assert made["variance"].tolist()[1:] == [0.0, 0.0]
    assert made["recall"].tolist()[1:] == [0.0, 0.0]
    assert np.isfinite(made["fid"]).all()


def test_run_chain_tells_which_generation_failed_and_why(tmp_path: Path) -> None:
    switch = tmp_path / "broken"
    switch.touch()
    generator = {"kind": "local_sweep_parts:Blob", "broken_if": str(switch), "broken_at": 2}
    with pytest.raises(MadrayError, match=r"generation 2 failed: RuntimeError: told to break"):
        run_chain({**CHAIN, "generator": generator}, store=tmp_path / "store")


def test_run_chain_refuses_bad_input_before_anything_is_made(tmp_path: Path) -> None:
    for change in (
        {"lambda": 1.5},
        {"n_r": 10},
        {"generator": "dpdm"},
        {"reference": "digits", "n_ini": 5000},
    ):
        with pytest.raises(BadInput):
            run_chain({**CHAIN, **change}, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()
