"""Making one generation: draws, fit, samples, measurements; each once, and the same whoever makes it."""

from __future__ import annotations

import gc
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from madray.chain import Maker, read_numbers, write_numbers
from madray.checkpoints import StoredCheckpoint
from madray.errors import Damaged, Missing
from madray.forest import RECORD, Draw, Order, RealOrder, RealSet, Source
from madray.generators.gaussian import GaussianGenerator
from madray.growth import Forest, grow
from madray.kept_models import KeptModels
from madray.loops import PoolDraw, RealDraw, SyntheticDraw
from madray.metrics import features
from madray.metrics.features import extract
from madray.plan import Plan, plan
from madray.references import build_reference
from madray.samples import SampleSet
from madray.spec.generators import AnyGenerator
from madray.spec.metrics import FID, AnyExtractor, Identity
from madray.spec.reading import check_sweep
from madray.store import Store
from madray.streams import Stream

PARTS = '''
import numpy as np

from madray.samples import SampleSet


class Steps:
    """Ten steps, each adding to a sum; may stop at one of them, as a killed process does."""

    version = 1
    stops_at = None
    seen = []
    classes = None

    def fit(self, samples, *, stream, checkpoint, progress):
        restored = checkpoint.restore()
        step, self.sum = (restored[0], restored[1]["sum"]) if restored else (0, np.zeros(samples.shape))
        while step < 10:
            if step == Steps.stops_at:
                raise KeyboardInterrupt
            Steps.seen.append(step)
            self.sum = self.sum + stream.child(step).numpy().random(samples.shape)
            step += 1
            progress(step, 10)
            checkpoint.offer(step, lambda: {"sum": self.sum})

    def sample(self, n, *, bias, stream, labels):
        return SampleSet(np.repeat(self.sum[None], n, 0).astype(np.float32))

    def save(self, folder):
        (folder / "sum.txt").write_text(" ".join(map(repr, self.sum.tolist())))

    def load(self, folder):
        self.sum = np.array([float(word) for word in (folder / "sum.txt").read_text().split()])
'''

CHAIN: dict[str, Any] = {
    "reference": {"kind": "gaussian", "d": 3},
    "generator": {"kind": "gaussian", "chunk": 16},
    "loop": "fully_synthetic",
    "n_ini": 50,
    "n_s": 40,
    "n_eval": 30,
    "generations": 3,
    "metrics": ["variance", "fid"],
}


def forest_of(**chain: Any) -> Forest:
    told = {name: value for name, value in {**CHAIN, **chain}.items() if value is not None}
    file = check_sweep({"name": "s", "chain": told}, name="test")
    return grow(file.sweep, file.cells, lambda chain: Source(chain.reference, None))


def plan_of(**chain: Any) -> Plan:
    return plan(forest_of(**chain), {})


def orders_of(todo: Plan) -> list[Order]:
    return [order for segment in todo.segments for order in segment.orders]


def unwatched(phase: str, done: int, total: int) -> None:
    pass


class Counting(Store):
    """Keeps what is committed."""

    commits: list[tuple[str, str]]

    def __init__(self, place: Path) -> None:
        opened = Store.open(place)
        super().__init__(opened._fs, opened._root, opened.uri)
        self.commits = []

    def commit(self, kind: str, key: str, files: Mapping[str, bytes]) -> None:
        self.commits.append((kind, key))
        super().commit(kind, key, files)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


@pytest.fixture
def made(store: Counting) -> tuple[Maker, list[Order]]:
    """A maker, and the orders of a chain of three generations, all made."""
    maker, todo = Maker(store), plan_of()
    for real in todo.real:
        maker.make_real_side(real)
    for order in orders_of(todo):
        maker.make(order, unwatched)
    return maker, orders_of(todo)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("chain-parts")
    (folder / "chain_parts.py").write_text(PARTS)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield importlib.import_module("chain_parts")
    sys.path.remove(str(folder))


# Draws


def test_real_draws_are_those_of_the_reference(made: tuple[Maker, list[Order]]) -> None:
    maker, [first, *_] = made
    [draw] = first.training
    samples = maker.samples(first.generation.settings, first.source, draw)
    expected = build_reference(first.source.settings, None).draw(50, Stream.of(0, 1, "real"))
    assert samples.values.tobytes() == expected.values.tobytes()


def longer(draw: Draw, n: int) -> Draw:
    assert isinstance(draw.part, SyntheticDraw)
    return replace(draw, part=replace(draw.part, n=n))


def test_fewer_samples_of_a_draw_are_the_beginning_of_more(
    made: tuple[Maker, list[Order]], store: Counting
) -> None:
    maker, [first, second, _] = made
    [draw] = second.training
    settings = first.generation.settings
    whole = maker.samples(settings, first.source, longer(draw, 100)).values
    assert len({longer(draw, n).key for n in (1, 15, 16, 17, 100)}) == 5
    for n in (1, 15, 16, 17, 32, 40, 99):  # around the ends of chunks of 16
        part = maker.samples(settings, first.source, longer(draw, n))
        assert part.values.tobytes() == whole[:n].tobytes()
    assert store.commits.count(("draws", next(draw.chunk_keys()))) == 1


def test_chunks_made_apart_by_others_equal_chunks_made_together(
    made: tuple[Maker, list[Order]], store: Counting
) -> None:
    maker, [first, second, _] = made
    [draw] = second.training
    settings = first.generation.settings
    together = maker.samples(settings, first.source, draw).values.tobytes()
    keys = list(draw.chunk_keys())
    for index, key in reversed(list(enumerate(keys))):
        store.delete("draws", key)
        Maker(store).commit_chunk(settings, draw, index, key)
    assert Maker(store).samples(settings, first.source, draw).values.tobytes() == together


def test_a_chunk_says_where_it_comes_from(made: tuple[Maker, list[Order]]) -> None:
    maker, [first, second, _] = made
    [draw] = second.training
    told = maker.samples(first.generation.settings, first.source, longer(draw, 3)).provenance
    assert told["source"] == first.generation.key
    assert told["lambda"] == "1.0"
    assert told["stream"] == "0/2/synthetic/1"
    assert told["key"] == next(draw.chunk_keys())


def test_a_missing_or_damaged_chunk_is_sampled_again_from_the_stored_weights(
    made: tuple[Maker, list[Order]], store: Counting, tmp_path: Path
) -> None:
    maker, [first, second, _] = made
    [draw] = second.training
    settings = first.generation.settings
    expected = maker.samples(settings, first.source, draw).values.tobytes()
    one, other, _ = draw.chunk_keys()
    store.delete("draws", one)
    [path] = tmp_path.glob(f"draws/{other}/*/samples.parquet")
    path.write_bytes(b"?" + path.read_bytes()[1:])
    assert Maker(store).samples(settings, first.source, draw).values.tobytes() == expected
    assert [pair for pair in store.commits if pair[1] in (one, other)] == 2 * [
        ("draws", one),
        ("draws", other),
    ]


def test_samples_whose_model_is_gone_are_missing(made: tuple[Maker, list[Order]], store: Counting) -> None:
    _, [first, second, _] = made
    [draw] = second.training
    for chunk in draw.chunk_keys():
        store.delete("draws", chunk)
    store.drop("generations", first.generation.key, keep=(RECORD,))
    with pytest.raises(Missing, match="weights"):
        Maker(store).samples(first.generation.settings, first.source, draw)


def test_a_pool_is_drawn_without_replacement_from_all_that_it_holds(store: Counting) -> None:
    loop = {"real": "none", "synthetic": "accumulate_subsample"}
    todo = plan_of(loop=loop, n_s=60, n_ini=70, metrics=["variance"], generations=3)
    maker = Maker(store)
    orders = orders_of(todo)
    for order in orders:
        maker.make(order, unwatched)
    last = orders[2]
    [drawn] = last.training
    assert isinstance(drawn.part, PoolDraw)
    chosen = maker.training_set(last).values
    pool = np.concatenate(
        [maker.samples(last.generation.settings, last.source, d).values for d in last.pooled]
    )
    assert (len(chosen), len(pool)) == (60, 70 + 60 + 60)
    rows = {row.tobytes() for row in pool}
    assert len(rows) == 190  # all different, so that repeats would show
    assert len({row.tobytes() for row in chosen}) == 60
    assert {row.tobytes() for row in chosen} <= rows
    everything = replace(drawn, part=replace(drawn.part, n=190))
    whole = maker.samples(last.generation.settings, last.source, everything, last.pooled)
    assert {row.tobytes() for row in whole.values} == rows
    assert whole.head(60).values.tobytes() == chosen.tobytes()


def test_a_training_set_is_its_draws_one_after_the_other(store: Counting) -> None:
    todo = plan_of(
        loop={"real": "fixed+fresh", "synthetic": "latest"}, n_fixed=7, n_r=5, metrics=["variance"]
    )
    maker, orders = Maker(store), orders_of(todo)
    for order in orders:
        maker.make(order, unwatched)
    second = orders[1]
    whole = maker.training_set(second)
    assert [type(draw.part) for draw in second.training] == [RealDraw, RealDraw, SyntheticDraw]
    parts = [maker.samples(second.generation.settings, second.source, draw) for draw in second.training]
    assert whole.values.tobytes() == SampleSet.concat(parts).values.tobytes()
    assert len(whole) == 7 + 5 + 40
    first = maker.training_set(orders[0])
    assert whole.head(7).values.tobytes() == first.head(7).values.tobytes()  # fixed: of generation 1's stream


# Orders


def test_an_order_gives_the_numbers_that_the_store_holds(
    made: tuple[Maker, list[Order]], store: Counting
) -> None:
    maker, orders = made
    for order in orders:
        numbers = maker.make(order, unwatched)
        assert numbers == {each.key: read_numbers(store, each.key) for each in order.measurements}
        assert sorted(name for each in numbers.values() for name in each) == ["fid", "variance"]


def test_what_is_made_is_not_made_again_by_anyone(made: tuple[Maker, list[Order]], store: Counting) -> None:
    _, orders = made
    before = len(store.commits)
    phases: list[str] = []
    for order in orders:
        Maker(store).make(order, lambda phase, done, total: phases.append(phase))
    assert len(store.commits) == before
    assert set(phases) == {"measure"}


def test_a_generation_is_the_moments_of_its_training_set(made: tuple[Maker, list[Order]]) -> None:
    maker, orders = made
    for order in orders:
        points = maker.training_set(order).values.astype(float)
        model: Any = KeptModels(maker.artifacts).load(order.generation.key, order.generation.settings)
        np.testing.assert_allclose(model.mean, points.mean(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(model.covariance, np.cov(points, rowvar=False), rtol=1e-9)


def test_the_record_says_what_is_worth_knowing(made: tuple[Maker, list[Order]], store: Counting) -> None:
    _, orders = made
    second = orders[1]
    told = json.loads(store.read("generations", second.generation.key, RECORD)[RECORD])
    assert told["key"] == second.generation.key
    assert (told["t"], told["n"], told["label_counts"]) == (2, 40, None)
    assert told["draws"] == list(second.generation.draws)
    assert told["stream"] == "0/2/fit"
    assert told["generator"] == {"kind": "gaussian", "chunk": 16, "version": 2}
    assert told["device"] == "cpu"
    assert {"madray", "python", "numpy"} <= set(told["versions"])


def test_a_model_from_the_store_is_the_one_that_was_fitted(
    made: tuple[Maker, list[Order]], store: Counting
) -> None:
    maker, [first, second, _] = made
    [draw] = second.training
    other = replace(draw, part=replace(draw.part, stream=Stream.of("other")))  # type: ignore[type-var]
    fitted = maker.samples(first.generation.settings, first.source, other).values.tobytes()
    for chunk in other.chunk_keys():
        store.delete("draws", chunk)
    assert Maker(store).samples(first.generation.settings, first.source, other).values.tobytes() == fitted


def test_spent_weights_and_samples_go_and_the_record_stays(store: Counting) -> None:
    [first, second, third] = orders_of(plan_of(metrics=["variance"]))
    chunks = [("draws", chunk) for draw in first.outputs for chunk in draw.chunk_keys()]
    second = replace(second, spent=(("generations", first.generation.key), *chunks))
    maker = Maker(store)
    maker.make(first, unwatched)
    assert all(store.has(*chunk) for chunk in chunks)
    for _ in range(2):  # done once more it is nothing
        maker.make(second, unwatched)
        assert set(store.read("generations", first.generation.key)) == {RECORD}
        assert not any(store.has(*chunk) for chunk in chunks)
    maker.make(third, unwatched)
    with pytest.raises(Missing):
        Maker(store).samples(first.generation.settings, first.source, second.training[0])


def test_weights_that_went_are_fitted_again_only_where_they_are_wanted(store: Counting) -> None:
    [first, *_] = orders_of(plan_of(metrics=["w2"]))
    Maker(store).make(first, unwatched)
    key = first.generation.key
    store.drop("generations", key, keep=(RECORD,))
    Maker(store).make(first, unwatched)
    assert store.commits.count(("generations", key)) == 1
    Maker(store).make(first, unwatched, keep_weights=True)
    assert store.commits.count(("generations", key)) == 2
    Maker(store).make(first, unwatched, keep_weights=True)
    assert store.commits.count(("generations", key)) == 2
    store.drop("generations", key, keep=(RECORD,))
    store.delete("measurements", first.measurements[0].key)
    Maker(store).make(first, unwatched)
    assert store.commits.count(("generations", key)) == 3


def test_others_may_make_the_missing_chunks_and_only_those(store: Counting) -> None:
    [first, *_] = orders_of(plan_of(metrics=["variance"]))
    asked: list[list[int]] = []

    def spread(
        maker: Maker, settings: AnyGenerator, draw: Draw, indices: Sequence[int], watch: Callable[..., None]
    ) -> None:
        asked.append(list(indices))
        keys = list(draw.chunk_keys())
        for index in reversed(indices):
            Maker(store).commit_chunk(settings, draw, index, keys[index])

    alone = Counting(Path(store._root) / "alone")
    numbers = Maker(alone).make(first, unwatched)
    assert Maker(store, spread=spread).make(first, unwatched) == numbers
    assert asked == [
        [0, 1, 2]
    ]  # 40 samples to train on are three chunks of 16, 30 to be measured two of them
    store.delete("draws", list(first.outputs[-1].chunk_keys())[1])
    Maker(store, spread=spread).make(first, unwatched)
    assert asked[1:] == [[1]]


def test_a_watcher_sees_fit_sample_and_measure_in_order(store: Counting) -> None:
    [first, *_] = orders_of(plan_of(metrics=["variance"]))
    seen: list[tuple[str, int, int]] = []
    Maker(store).make(first, lambda *now: seen.append(now))
    phases = [phase for phase, _, _ in seen]
    assert sorted(set(phases), key=phases.index) == ["fit", "sample", "measure"]
    assert all(0 <= done <= total for _, done, total in seen)


def test_a_fit_that_was_stopped_goes_on_from_its_checkpoint_and_leaves_none(
    store: Counting, parts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [first, *_] = orders_of(plan_of(generator="chain_parts:Steps", metrics=["variance"]))
    monkeypatch.setattr(parts.Steps, "seen", [])
    whole = Counting(tmp_path / "whole")
    Maker(whole).make(first, unwatched)
    assert parts.Steps.seen == list(range(10))
    parts.Steps.seen.clear()
    for stop in (3, 7, None):
        monkeypatch.setattr(parts.Steps, "stops_at", stop)
        maker = Maker(store, checkpoints=partial(StoredCheckpoint, store, seconds=0))
        if stop is None:
            maker.make(first, unwatched)
        else:
            with pytest.raises(KeyboardInterrupt):
                maker.make(first, unwatched)
            assert not store.has("generations", first.generation.key)
    assert parts.Steps.seen == list(range(10))  # no step was done twice
    key = first.generation.key
    assert store.read("generations", key, "sum.txt") == whole.read("generations", key, "sum.txt")
    assert store.names("work") == []


@pytest.mark.parametrize(("d", "files"), [(2, ["grid.png"]), (3, [])])
def test_a_picture_of_points_in_the_plane_and_none_of_what_cannot_be_seen(
    store: Counting, parts: Any, d: int, files: list[str]
) -> None:
    todo = plan_of(
        reference={"kind": "gaussian", "d": d},
        generator="chain_parts:Steps",
        metrics=["variance"],
        generations=1,
    )
    [segment] = todo.segments
    [order] = segment.orders
    shown = segment.pictures[order.generation.key]
    Maker(store).make(order, unwatched, pictures=shown)
    [(kind, key)] = [pair for pair in store.commits if pair[0] == "pictures"]
    assert sorted(store.read(kind, key)) == files
    Maker(store).make(order, unwatched, pictures=shown)
    assert store.commits.count((kind, key)) == 1


# The real side


def real_order(**chain: Any) -> RealOrder:
    [order] = plan_of(**chain).real
    return order


def test_the_real_side_is_the_first_half_and_the_floor_compares_it_with_the_second(store: Counting) -> None:
    order = real_order(n_eval=200)
    maker = Maker(store)
    maker.make_real_side(order)
    both = build_reference(order.real.source.settings, None).draw(400, RealSet.stream).values
    side = maker._real_side(order.real)
    assert side.features.tobytes() == both[:200].tobytes()
    np.testing.assert_allclose(side.root @ side.root.T, np.cov(both[:200], rowvar=False), atol=1e-12)
    from madray.metrics import frechet_distance

    [floor] = order.floors
    expected = frechet_distance(real=both[:200], generated=both[200:])
    assert read_numbers(store, floor.key)["fid"] == pytest.approx(expected, rel=1e-9)


def test_the_real_side_is_made_once(store: Counting) -> None:
    order = real_order()
    for _ in range(2):
        Maker(store).make_real_side(order)
    assert sorted(store.commits) == sorted(
        [("features", order.real.key), ("measurements", order.floors[0].key)]
    )


def test_where_no_other_real_samples_are_left_the_floor_has_no_value(store: Counting) -> None:
    from madray.engine.sources import Sources

    told = {**CHAIN, "reference": "digits", "n_eval": 899}
    file = check_sweep({"name": "s", "chain": told}, name="test")
    sources = Sources(store, data=None, recorded={})
    forest = grow(file.sweep, file.cells, sources.source)
    sources.bring(made.source for made in forest.made.values())
    [order] = forest.real.values()
    Maker(store).make_real_side(order)
    assert np.isnan(read_numbers(store, order.floors[0].key)["fid"])
    assert store.has("features", order.real.key)


def test_metrics_of_the_same_samples_share_them_and_their_features(
    store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = plan_of(metrics=["variance", "fid", "precision_recall"], measure_bias=[0.5], generations=1)
    for real in todo.real:
        Maker(store).make_real_side(real)
    seen: list[SampleSet] = []

    def extracted(settings: AnyExtractor, samples: SampleSet) -> NDArray[np.float32]:
        seen.append(samples)
        return extract(settings, samples)

    monkeypatch.setattr(features, "extract", extracted)
    [order] = orders_of(todo)
    numbers = Maker(store).make(order, unwatched)
    assert len(numbers) == 6
    assert [samples.provenance["lambda"] for samples in seen] == ["1.0", "0.5"]


def test_a_measurement_without_its_real_side_is_missing_and_never_made_up(store: Counting) -> None:
    [first, *_] = orders_of(plan_of())
    with pytest.raises(Missing, match="features"):
        Maker(store).make(first, unwatched)
    assert not any(
        store.has("measurements", each.key) for each in first.measurements if isinstance(each.metric, FID)
    )


# Numbers


def test_every_float_of_a_measurement_reads_back_exactly(store: Counting) -> None:
    numbers = {"a": 0.1 + 0.2, "b": 5e-324, "c": -0.0, "d": float("inf"), "e": 1e308, "f": 3.0}
    write_numbers(store, "k", numbers)
    assert json.dumps(read_numbers(store, "k")) == json.dumps(numbers)
    write_numbers(store, "nan", {"x": float("nan")})
    assert np.isnan(read_numbers(store, "nan")["x"])


def test_damaged_numbers_are_never_read(store: Counting, tmp_path: Path) -> None:
    write_numbers(store, "k", {"fid": 1.25})
    [path] = tmp_path.glob("measurements/k/*/numbers.json")
    path.write_text(path.read_text().replace("1.25", "1.35"))
    with pytest.raises(Damaged):
        read_numbers(store, "k")


def test_the_same_settings_of_an_extractor_name_the_same_real_side() -> None:
    source = Source(check_sweep({"name": "s", "chain": CHAIN}, name="t").cells[0].chain.reference, None)
    assert RealSet(source, 30, Identity()).key == real_order().real.key
    assert RealSet(source, 31, Identity()).key != real_order().real.key


def test_metrics_of_samples_alone_need_no_model(made: tuple[Maker, list[Order]], store: Counting) -> None:
    """Samples that are stored are measured though the weights are gone, and nothing is fitted again."""
    _, orders = made
    for order in orders:
        expected = {each.key: read_numbers(store, each.key) for each in order.measurements}
        store.drop("generations", order.generation.key, keep=[RECORD])
        for key in expected:
            store.delete("measurements", key)
        phases: list[str] = []
        assert Maker(store).make(order, lambda phase, done, total: phases.append(phase)) == expected  # noqa: B023
        assert set(phases) == {"measure"}


class Unreadable:
    """A reader of tables that finds nothing, as where the store is far away."""

    def table(self, kind: str, key: str) -> Any:
        raise AssertionError(f"expected {kind}/{key} to be at hand where it was sampled")


def test_what_was_sampled_here_is_trained_on_and_measured_without_reading_it(store: Counting) -> None:
    todo = plan_of()
    maker = Maker(store, tables=Unreadable())
    for real in todo.real:
        maker.make_real_side(real)
    at_hand = [maker.make(order, unwatched) for order in orders_of(todo)]
    read = Maker(store)
    assert at_hand == [read.make(order, unwatched) for order in orders_of(todo)]
    for order in orders_of(todo)[1:]:
        own, other = maker.training_set(order), read.training_set(order)
        assert own.values.tobytes() == other.values.tobytes()
        assert dict(own.provenance) == dict(other.provenance)


def test_models_of_milliseconds_share_a_folder_that_is_empty_each_time_and_goes_with_the_maker(
    store: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    found: list[tuple[Path, list[Path]]] = []
    save = GaussianGenerator.save

    def look(self: GaussianGenerator, folder: Path) -> None:
        found.append((folder, list(folder.iterdir())))
        save(self, folder)

    monkeypatch.setattr(GaussianGenerator, "save", look)
    maker, todo = Maker(store), plan_of()
    for real in todo.real:
        maker.make_real_side(real)
    for order in orders_of(todo):
        maker.make(order, unwatched)
    assert len(found) == 3
    assert len({folder for folder, _ in found}) == 1
    assert all(before == [] for _, before in found)
    del maker
    gc.collect()
    assert list(place.iterdir()) == []
