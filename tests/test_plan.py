"""The plan: all keys before any work, each thing once, and nothing that is there already."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madray.artifacts import Marker
from madray.forest import RECORD, Order, Source, picture_key
from madray.growth import ChainPlan, Forest, Pair, grow
from madray.loops import PoolDraw, SyntheticDraw
from madray.plan import Plan, Segment, plan
from madray.spec.loops import NAMED
from madray.spec.reading import check_sweep

LOOPS = ["fully_synthetic", "synthetic_augmentation", "fresh_data"]
QUICKSTART: dict[str, Any] = {
    "name": "quickstart",
    "chain": {
        "reference": "digits",
        "generator": "ddpm",
        "loop": "fully_synthetic",
        "n_ini": 200,
        "n_r": 100,
        "n_s": 700,
        "n_eval": 600,
        "generations": 4,
    },
    "grid": {"loop": LOOPS, "lambda": [1.0, 0.5]},
    "seeds": 1,
}
WEIGHTS = {RECORD: (2, ""), "model.safetensors": (9, "")}
Markers = dict[Pair, Marker]


def forest_of(raw: Mapping[str, Any] = QUICKSTART, **changes: Any) -> Forest:
    """The forest of a sweep with some fields changed, those of the chain named `chain__…`."""
    told = copy.deepcopy(dict(raw))
    for path, value in changes.items():
        head, _, rest = path.partition("__")
        if rest:
            told[head][rest] = value
        else:
            told[head] = value
    loops = told["grid"].get("loop", [told["chain"]["loop"]])
    parts = [NAMED[loop] if isinstance(loop, str) else (loop["real"], loop["synthetic"]) for loop in loops]
    for size, place in (("n_r", 0), ("n_s", 1)):
        if all(part[place] == "none" for part in parts):
            told["chain"].pop(size, None)  # a size that no cell uses is refused
    file = check_sweep(told, name="test")
    contents = {True: "content of the data", False: None}
    return grow(
        file.sweep, file.cells, lambda chain: Source(chain.reference, contents[chain.reference.finite])
    )


def one_chain(**changes: Any) -> Forest:
    """The forest of one chain; changes as in `forest_of`, of the chain where they are not named otherwise."""
    outside = ("keep", "seeds", "grid")
    told = {name if name in outside else f"chain__{name}": value for name, value in changes.items()}
    return forest_of({**QUICKSTART, "grid": {}}, **told)


def whole(*names: str) -> Marker:
    return Marker("attempt", dict.fromkeys(names or ("file",), (1, "")))


class Makes:
    """Makes what a plan says, as a worker would, and asserts that nothing it needs is missing."""

    def __init__(self, markers: Markers | None = None) -> None:
        self.markers: Markers = dict(markers or {})
        self.fitted: list[str] = []
        self.done: set[str] = set()
        self.peak_weights = 0

    def make(self, todo: Plan, *, chosen: random.Random | None = None, stop_after: int | None = None) -> bool:
        """Make all of a plan in some order that respects `waits_for`; False where it was stopped before."""
        for real in todo.real:
            self.markers["features", real.real.key] = whole()
            self.markers |= {("measurements", floor.key): whole() for floor in real.floors}
        self.done |= {real.real.key for real in todo.real}
        left = {segment.id: segment for segment in todo.segments if segment.id not in self.done}
        steps = 0
        while left:
            ready = [name for name, segment in left.items() if segment.waits_for <= self.done]
            assert ready, "nothing can be made, and something is left"
            segment = left.pop(chosen.choice(ready) if chosen else ready[0]).begun(self.markers)
            for order in segment.orders:
                if steps == stop_after:
                    return False
                steps += 1
                self._order(order, segment)
            self.done.add(segment.id)
            for release in todo.releases:
                if segment.id in release.after <= self.done:
                    self._drop(release.spent)
        return True

    def _order(self, order: Order, segment: Segment) -> None:
        key = order.generation.key
        chunks = [("draws", chunk) for draw in order.outputs for chunk in draw.chunk_keys()]
        measurements = [("measurements", each.key) for each in order.measurements]
        wants_weights = key in segment.kept or any(
            pair not in self.markers for pair in (*chunks, *measurements)
        )
        marker = self.markers.get(("generations", key))
        if marker is None or (wants_weights and set(marker.files) == {RECORD}):
            for draw in (*order.training, *order.pooled):
                if isinstance(draw.part, SyntheticDraw):
                    missing = [c for c in draw.chunk_keys() if ("draws", c) not in self.markers]
                    assert not missing, "a training set lacks samples"
            self.fitted.append(key)
            self.markers["generations", key] = Marker("attempt", WEIGHTS)
        self.peak_weights = max(
            self.peak_weights, sum(len(marker.files) == 2 for marker in self.markers.values())
        )
        looked_at = [
            each.evaluation
            for each in order.measurements
            if each.evaluation is not None and ("measurements", each.key) not in self.markers
        ]
        self.markers |= dict.fromkeys(chunks, whole())
        shown = [
            draw
            for draw in segment.pictures.get(key, ())
            if ("pictures", picture_key(draw)) not in self.markers
        ]
        for draw in (*looked_at, *shown):
            assert all(("draws", chunk) in self.markers for chunk in draw.chunk_keys()), "samples are missing"
        for each in order.measurements:
            assert each.real is None or ("features", each.real.key) in self.markers
        self.markers |= dict.fromkeys(measurements, whole())
        self.markers |= {("pictures", picture_key(draw)): whole() for draw in shown}
        self._drop(order.spent)

    def _drop(self, spent: Iterable[Pair]) -> None:
        for pair in spent:
            if pair[0] == "generations":
                self.markers[pair] = whole(RECORD)
            else:
                self.markers.pop(pair, None)


def made(forest: Forest) -> Markers:
    """The markers of a store where all of a forest was made."""
    makes = Makes()
    assert makes.make(plan(forest, {}))
    return makes.markers


def chain_of(forest: Forest, index: int = 0) -> ChainPlan:
    return forest.chains[index]


def weightless(markers: Markers) -> set[str]:
    return {
        key for (kind, key), marker in markers.items() if kind == "generations" and len(marker.files) == 1
    }


# What there is


def test_the_quickstart_has_exactly_19_generations_of_which_one_is_shared_by_six_chains() -> None:
    forest = forest_of()
    todo = plan(forest, {})
    assert (todo.generations, len(todo.fits), todo.shared, todo.in_store) == (19, 19, 5, 0)
    assert len(forest.chains) == 6
    assert len({chain.generations[0] for chain in forest.chains}) == 1
    assert len({key for chain in forest.chains for key in chain.generations[1:]}) == 18
    assert not todo.complete


def test_the_quickstart_is_one_segment_of_generation_1_and_one_of_the_rest_of_each_chain() -> None:
    forest = forest_of()
    todo = plan(forest, {})
    first, *others = todo.segments
    assert [order.generation.t for order in first.orders] == [1]
    assert first.chains == frozenset(range(6))
    assert len(others) == 6
    [real] = todo.real
    assert first.waits_for == {real.real.key}
    for index, segment in enumerate(others):
        assert [order.generation.key for order in segment.orders] == list(
            chain_of(forest, index).generations[1:]
        )
        assert segment.chains == {index}
        assert segment.waits_for == {first.id, real.real.key}
        assert not segment.milliseconds


def test_what_is_made_is_never_made_again() -> None:
    forest = forest_of()
    makes = Makes()
    makes.make(plan(forest, {}))
    assert sorted(makes.fitted) == sorted(forest.made)
    assert set(makes.markers) == set(forest.artifacts())
    again = plan(forest, makes.markers)
    assert again.complete
    assert (again.fits, again.in_store, again.real, again.releases) == (frozenset(), 19, (), ())


def test_a_metric_that_looks_at_the_model_alone_needs_neither_samples_nor_a_real_side() -> None:
    forest = one_chain(reference="gaussian", generator="gaussian", metrics=["w2"], loop="real_only")
    todo = plan(forest, {})
    assert todo.real == ()
    assert all(order.outputs == () for segment in todo.segments for order in segment.orders)
    assert all(segment.milliseconds for segment in todo.segments)


def test_all_grid_cells_and_seeds_are_chains_in_order() -> None:
    forest = forest_of(seeds=[7, 3])
    told = [(chain.cell.point["loop"], chain.cell.point["lambda"], chain.seed) for chain in forest.chains]
    assert told == [(loop, bias, seed) for loop in LOOPS for bias in (1.0, 0.5) for seed in (3, 7)]
    assert plan(forest, {}).generations == 38  # seeds share nothing


def test_the_forest_does_not_depend_on_the_order_of_cells() -> None:
    one, other = forest_of(), forest_of(grid={"loop": LOOPS[::-1], "lambda": [0.5, 1.0]})
    assert set(one.made) == set(other.made)
    assert set(one.artifacts()) == set(other.artifacts())
    assert {(chain.id, chain.generations) for chain in one.chains} == {
        (chain.id, chain.generations) for chain in other.chains
    }


def test_real_only_chains_share_all_but_generation_1_whatever_n_ini_is() -> None:
    forest = one_chain(loop="real_only", grid={"n_ini": [100, 200, 300]})
    firsts = {chain.generations[0] for chain in forest.chains}
    rest = {chain.generations[1:] for chain in forest.chains}
    assert (len(firsts), len(rest)) == (3, 1)
    todo = plan(forest, {})
    assert (todo.generations, todo.shared) == (6, 6)
    assert sorted(len(segment.orders) for segment in todo.segments) == [1, 1, 1, 3]
    assert all(not (segment.waits_for & {s.id for s in todo.segments}) for segment in todo.segments)


def test_memories_share_their_beginning_as_far_as_they_agree() -> None:
    forest = one_chain(
        grid={"memory": [1, 2, 3]}, loop={"real": "none", "synthetic": "memory"}, generations=5
    )
    lines = [chain.generations for chain in forest.chains]
    agree = [[a == b for a, b in zip(lines[i], lines[j], strict=True)] for i, j in ((0, 1), (1, 2), (0, 2))]
    assert agree == [
        [True, True, False, False, False],  # K = 1 and 2 differ from generation 3 on
        [True, True, True, False, False],
        [True, True, False, False, False],
    ]


def test_accumulated_samples_are_made_once_and_used_ever_after() -> None:
    forest = one_chain(loop={"real": "none", "synthetic": "accumulate"}, generations=5)
    todo = plan(forest, {})
    orders = [order for segment in todo.segments for order in segment.orders]
    draws = [[draw.key for draw in order.training] for order in orders]
    assert [len(keys) for keys in draws] == [1, 1, 2, 3, 4]
    assert draws[4][:3] == draws[3]
    evaluation = 1  # of every generation, beside the one draw that all later ones use
    assert [len(order.outputs) for order in orders] == [1 + evaluation] * 4 + [evaluation]


def test_a_pool_names_all_that_it_is_drawn_from() -> None:
    forest = one_chain(loop={"real": "none", "synthetic": "accumulate_subsample"}, generations=4, n_s=150)
    line = chain_of(forest).generations
    for t, key in enumerate(line[1:], start=2):
        one = forest.made[key]
        [drawn] = one.training
        assert isinstance(drawn.part, PoolDraw)
        assert drawn.sources == tuple(draw.key for draw in one.pooled)
        assert [draw.n for draw in one.pooled] == [200] + [150] * (t - 1)
        assert [draw.sources[0] for draw in one.pooled[1:]] == list(line[: t - 1])
    assert len({draw.key for key in line for draw in forest.made[key].training}) == 4  # drawn anew each time
    assert plan(forest, made(forest)).complete


# What grows


def test_another_lambda_costs_its_own_generations_alone() -> None:
    markers = made(forest_of())
    forest = forest_of(grid={"loop": LOOPS, "lambda": [1.0, 0.8, 0.5]})
    todo = plan(forest, markers)
    new = {key for chain in forest.chains if chain.cell.chain.bias == 0.8 for key in chain.generations[1:]}
    assert (todo.fits, len(new)) == (new, 9)
    assert (todo.generations, todo.in_store) == (28, 19)
    first = chain_of(forest).generations[0]
    orders = {order.generation.key: order for segment in todo.segments for order in segment.orders}
    assert set(orders) == {first, *new}
    assert {draw.bias for draw in orders[first].outputs} == {0.8}  # generation 1 is only sampled and measured
    assert todo.real == ()
    makes = Makes(markers)
    makes.make(todo)
    assert set(makes.fitted) == new


def test_more_generations_cost_the_new_ones_alone() -> None:
    markers = made(forest_of())
    forest = forest_of(chain__generations=6)
    todo = plan(forest, markers)
    new = {key for chain in forest.chains for key in chain.generations[4:]}
    assert (todo.fits, len(new)) == (new, 12)
    makes = Makes(markers)
    makes.make(todo)
    assert plan(forest, makes.markers).complete
    assert plan(forest_of(), makes.markers).complete  # and the shorter sweep is still whole


def test_another_metric_is_only_measured() -> None:
    markers = made(forest_of(chain__metrics=["variance"]))
    forest = forest_of(chain__metrics=["variance", "fid"])
    todo = plan(forest, markers)
    assert todo.fits == frozenset()
    assert len(todo.real) == 1
    orders = [order for segment in todo.segments for order in segment.orders]
    assert len(orders) == 19
    assert {each.metric.kind for order in orders for each in order.measurements} == {"fid"}
    assert all(order.outputs == () for order in orders)  # the samples are there
    assert all(not segment.pictures for segment in todo.segments)
    makes = Makes(markers)
    makes.make(todo)
    assert makes.fitted == []


def test_another_seed_or_loop_shares_what_it_can_with_what_is_there() -> None:
    markers = made(forest_of(grid={"loop": LOOPS[:2], "lambda": [1.0, 0.5]}))
    assert len(plan(forest_of(), markers).fits) == 6
    assert len(plan(forest_of(seeds=2), markers).fits) == 6 + 19


# What is missing


def test_a_missing_record_is_made_again_and_nothing_else() -> None:
    forest = forest_of()
    markers = made(forest)
    lost = chain_of(forest, 3).generations[2]
    del markers["generations", lost]
    todo = plan(forest, markers)
    assert todo.fits == {lost}
    [segment] = todo.segments
    [order] = segment.orders
    assert (order.generation.key, order.outputs, order.measurements) == (lost, (), ())
    assert segment.waits_for == frozenset()


def test_a_missing_chunk_is_sampled_again_without_a_fit_where_the_weights_are() -> None:
    forest = forest_of()
    markers = made(forest)
    key = chain_of(forest).generations[1]
    chunk = next(iter(next(iter(forest.made[key].outputs.values())).chunk_keys()))
    del markers["draws", chunk]
    todo = plan(forest, markers)
    assert todo.fits == frozenset()
    [order] = [order for segment in todo.segments for order in segment.orders]
    assert order.generation.key == key
    assert all(chunk in draw.chunk_keys() for draw in order.outputs)


@pytest.mark.parametrize("kind", ["measurements", "pictures"])
def test_a_missing_measurement_or_picture_is_made_again_without_a_fit(kind: str) -> None:
    forest = forest_of()
    markers = made(forest)
    lost = next(pair for pair in markers if pair[0] == kind)
    del markers[lost]
    todo = plan(forest, markers)
    assert todo.fits == frozenset()
    assert not todo.complete
    makes = Makes(markers)
    makes.make(todo)
    assert makes.fitted == []
    assert set(makes.markers) == set(made(forest))


def test_a_missing_real_side_or_floor_is_made_again() -> None:
    forest = forest_of()
    [order] = forest.real.values()
    for lost in [("features", order.real.key), ("measurements", order.floors[0].key)]:
        markers = made(forest)
        del markers[lost]
        todo = plan(forest, markers)
        assert (len(todo.real), todo.segments, todo.complete) == (1, (), False)


def test_a_shared_generation_has_a_picture_of_each_lambda() -> None:
    forest = forest_of()
    first = chain_of(forest).generations[0]
    assert {draw.bias for draw in forest.made[first].pictures.values()} == {1.0, 0.5}
    markers = made(forest)
    assert all(("pictures", picture) in markers for chain in forest.chains for picture in chain.pictures)
    assert len({picture for chain in forest.chains for picture in chain.pictures}) == 2 + 18


def test_models_of_milliseconds_have_no_pictures() -> None:
    forest = one_chain(reference="gaussian", generator="gaussian")
    assert chain_of(forest).pictures == ("",) * 4
    assert not any(kind == "pictures" for kind, _ in forest.artifacts())


@pytest.mark.parametrize(("keep", "shown"), [("all", [1, 2, 3, 4]), ("every 3", [3, 4]), ("last", [4])])
def test_mixtures_are_shown_where_they_are_kept(keep: str, shown: list[int]) -> None:
    forest = one_chain(reference="gmm25", generator={"kind": "gmm", "components": 2}, keep=keep)
    assert [t for t, picture in enumerate(chain_of(forest).pictures, start=1) if picture] == shown


# What is kept


def test_with_keep_last_only_the_last_weights_and_samples_stay_and_the_sweep_is_complete() -> None:
    forest = forest_of(keep="last")
    markers = made(forest)
    lasts = {chain.generations[-1] for chain in forest.chains}
    assert weightless(markers) == set(forest.made) - lasts
    kept = {
        ("draws", c) for key in lasts for draw in forest.made[key].outputs.values() for c in draw.chunk_keys()
    }
    assert {pair for pair in markers if pair[0] == "draws"} == kept
    assert {("measurements", each) for one in forest.made.values() for each in one.measurements} <= set(
        markers
    )
    assert plan(forest, markers).complete


@pytest.mark.parametrize(("keep", "stays"), [("all", [1, 2, 3, 4]), ("every 2", [2, 4]), ("every 3", [3, 4])])
def test_keep_every_n_keeps_those_and_the_last(keep: str, stays: list[int]) -> None:
    forest = one_chain(keep=keep)
    markers = made(forest)
    line = chain_of(forest).generations
    assert [t for t, key in enumerate(line, start=1) if key not in weightless(markers)] == stays
    assert plan(forest, markers).complete


def test_inside_a_segment_a_generation_is_spent_with_the_last_order_that_uses_it() -> None:
    latest = plan(one_chain(keep="last"), {})
    [segment] = latest.segments
    keys = [order.generation.key for order in segment.orders]
    spent = [[key for kind, key in order.spent if kind == "generations"] for order in segment.orders]
    assert spent == [[], [keys[0]], [keys[1]], [keys[2]]]
    accumulated = plan(one_chain(keep="last", loop={"real": "none", "synthetic": "accumulate"}), {})
    [segment] = accumulated.segments
    keys = [order.generation.key for order in segment.orders]
    spent = [[key for kind, key in order.spent if kind == "generations"] for order in segment.orders]
    assert spent == [[], [], [], keys[:3]]


def test_a_long_chain_that_keeps_the_last_never_holds_more_than_two_weights() -> None:
    makes = Makes()
    makes.make(plan(one_chain(keep="last", generations=30), {}))
    assert makes.peak_weights == 2


def test_across_segments_a_generation_is_released_when_the_last_that_uses_it_is_made() -> None:
    forest = forest_of(keep="last")
    todo = plan(forest, {})
    first = chain_of(forest).generations[0]
    [release] = todo.releases
    assert release.after == {segment.id for segment in todo.segments}
    assert ("generations", first) in release.spent
    assert not any(("generations", first) in order.spent for s in todo.segments for order in s.orders)


def test_generations_with_the_same_users_are_all_released() -> None:
    forest = one_chain(
        grid={"memory": [4, 5]},
        loop={"real": "none", "synthetic": "memory"},
        generations=7,
        keep="last",
        n_s=900,
    )
    markers = made(forest)
    lasts = {chain.generations[-1] for chain in forest.chains}
    assert weightless(markers) == set(forest.made) - lasts


def test_what_another_sweep_kept_is_not_dropped() -> None:
    keeps_all = forest_of()
    markers = made(keeps_all)
    keeps_last = forest_of(keep="last", grid={"loop": LOOPS, "lambda": [1.0, 0.5, 0.25]}, name="other")
    makes = Makes(markers)
    makes.make(plan(keeps_last, markers))
    assert plan(keeps_all, makes.markers).complete
    assert len(weightless(makes.markers)) == 6  # what it made itself, less the last ones


def test_missing_weights_that_nobody_needs_are_not_missed() -> None:
    forest = one_chain(keep="last")
    markers = made(forest)
    assert len(weightless(markers)) == 3
    assert plan(forest, markers).complete


def test_kept_weights_that_went_are_fitted_again_even_where_nothing_else_is_missing() -> None:
    settings_ = {"reference": "gaussian", "generator": "gaussian", "metrics": ["w2"]}
    markers = made(one_chain(keep="last", generations=5, **settings_))
    shorter = one_chain(keep="last", generations=4, **settings_)
    last = chain_of(shorter).generations[-1]
    todo = plan(shorter, markers)
    assert last in todo.fits
    makes = Makes(markers)
    makes.make(todo)
    assert last not in weightless(makes.markers)
    assert plan(shorter, makes.markers).complete


def test_samples_that_went_with_the_weights_of_their_generation_are_made_again_from_the_beginning() -> None:
    forest = one_chain(keep="last")
    markers = made(forest)
    line = chain_of(forest).generations
    del markers["generations", line[3]]
    todo = plan(forest, markers)
    assert todo.fits == set(line)  # G4 needs samples of G3, whose fit needs samples of G2, …
    makes = Makes(markers)
    makes.make(todo)
    assert makes.fitted == list(line)
    assert weightless(makes.markers) == set(line[:3])
    assert plan(forest, makes.markers).complete


def test_what_is_fitted_again_begins_at_the_newest_generation_that_was_kept() -> None:
    forest = one_chain(keep="every 2", generations=6)
    markers = made(forest)
    line = chain_of(forest).generations
    del markers["generations", line[5]]
    assert plan(forest, markers).fits == {line[4], line[5]}


def test_a_longer_chain_that_keeps_the_last_goes_on_without_a_fit_of_the_old_ones() -> None:
    markers = made(one_chain(keep="last"))
    longer = one_chain(keep="last", generations=6)
    assert plan(longer, markers).fits == set(chain_of(longer).generations[4:])


# A segment that was begun


def stopped_after(forest: Forest, orders: int) -> tuple[Segment, Markers]:
    todo = plan(forest, {})
    makes = Makes()
    assert not makes.make(todo, stop_after=orders)
    return next(s for s in todo.segments if len(s.orders) > 1), makes.markers


def test_whoever_goes_on_with_a_segment_makes_nothing_again_that_was_spent() -> None:
    forest = one_chain(keep="last", generations=6)
    for orders in range(6):
        segment, markers = stopped_after(forest, orders)
        makes = Makes(markers)
        left = segment.begun(markers)
        assert [order.generation.key for order in left.orders] == list(chain_of(forest).generations)
        for order in left.orders:
            makes._order(order, left)
        assert makes.fitted == list(chain_of(forest).generations)[orders:]
        assert plan(forest, makes.markers).complete


def test_whoever_goes_on_makes_spent_samples_again_where_a_child_lost_its_fit() -> None:
    forest = one_chain(keep="last", generations=4)
    segment, markers = stopped_after(forest, 3)
    line = chain_of(forest).generations
    del markers["generations", line[2]]
    markers = {pair: marker for pair, marker in markers.items() if pair[0] != "draws"}
    left = segment.begun(markers)
    assert [bool(order.outputs) for order in left.orders] == [True, True, True, True]
    makes = Makes(markers)
    for order in left.orders:
        makes._order(order, left)
    assert makes.fitted == list(line)


def test_a_segment_that_nobody_began_stays_as_it_is() -> None:
    todo = plan(forest_of(keep="last"), {})
    for segment in todo.segments:
        assert segment.begun({}) == segment


# Rows and columns


def test_a_row_names_every_number_once_with_further_lambdas_behind() -> None:
    forest = one_chain(metrics=["variance", "fid"], measure_bias=[1.0, 0.25], **{"lambda": 0.5})
    names = [number.name for number in chain_of(forest).numbers[0]]
    assert names == [
        "variance",
        "fid",
        "variance_at_lambda_1",
        "fid_at_lambda_1",
        "variance_at_lambda_0.25",
        "fid_at_lambda_0.25",
    ]


def test_every_cell_has_the_same_columns_also_where_a_further_lambda_is_its_own() -> None:
    forest = forest_of(chain__measure_bias=[1.0], chain__metrics=["variance"])
    rows = {tuple(number.name for number in chain.numbers[0]) for chain in forest.chains}
    assert rows == {("variance", "variance_at_lambda_1")}
    unbiased = chain_of(forest).numbers[0]
    assert unbiased[0].measurement == unbiased[1].measurement  # measured once, shown twice
    biased = chain_of(forest, 1).numbers[0]
    assert biased[0].measurement != biased[1].measurement
    assert biased[1].measurement == unbiased[0].measurement  # of generation 1, which they share


def test_what_looks_at_the_model_alone_is_not_measured_at_further_lambdas() -> None:
    forest = one_chain(
        reference="gaussian", generator="gaussian", metrics=["w2", "variance"], measure_bias=[0.5]
    )
    names = [number.name for number in chain_of(forest).numbers[0]]
    assert names == ["w2_squared", "w2", "variance", "variance_at_lambda_0.5"]


def test_a_longer_chain_keeps_its_id_its_generations_and_its_rows() -> None:
    short, long = one_chain(), one_chain(generations=9)
    assert chain_of(short).id == chain_of(long).id
    assert chain_of(long).generations[:4] == chain_of(short).generations
    assert [chain_of(long).row_key(t) for t in range(1, 5)] == [
        chain_of(short).row_key(t) for t in range(1, 5)
    ]


def test_ids_and_row_keys_tell_apart_what_differs() -> None:
    forest = forest_of(seeds=2)
    assert len({chain.id for chain in forest.chains}) == 12
    rows = [chain.row_key(t) for chain in forest.chains for t in range(2, 5)]
    assert len(set(rows)) == len(rows)
    one, more = one_chain(metrics=["variance"]), one_chain(metrics=["variance", "fid"])
    assert chain_of(one).generations == chain_of(more).generations
    assert chain_of(one).row_key(1) != chain_of(more).row_key(1)


@pytest.mark.parametrize("change", [{"n_eval": 601}, {"labels": "empirical"}, {"measure_bias": [0.5]}])
def test_what_changes_only_measurements_or_labels_of_samples_leaves_generation_1(
    change: dict[str, Any],
) -> None:
    assert chain_of(one_chain()).generations[0] == chain_of(one_chain(**change)).generations[0]
    same = chain_of(one_chain()).generations == chain_of(one_chain(**change)).generations
    assert same == ("labels" not in change)


# Any sweep, after any loss


LOOP_VALUES = st.sampled_from(
    [
        *LOOPS,
        "real_only",
        {"real": "none", "synthetic": "memory"},
        {"real": "fixed", "synthetic": "memory", "split": "equal"},
        {"real": "fresh", "synthetic": "accumulate"},
        {"real": "none", "synthetic": "accumulate_subsample"},
    ]
)
SWEEPS = st.fixed_dictionaries(
    {
        "loops": st.lists(LOOP_VALUES, min_size=1, max_size=3, unique_by=str),
        "biases": st.sampled_from([[1.0], [1.0, 0.5]]),
        "memory": st.sampled_from([1, 3]),
        "generations": st.integers(1, 5),
        "keep": st.sampled_from(["all", "last", "every 2"]),
        "generator": st.sampled_from(["gaussian", {"kind": "ddpm", "chunk": 300}]),
    }
)


def any_forest(told: Mapping[str, Any], **changes: Any) -> Forest:
    told = {**told, **changes}
    accumulates = any("accumulate" in str(loop) for loop in told["loops"])
    return forest_of(
        grid={"loop": told["loops"], "lambda": told["biases"]},
        keep=told["keep"],
        chain__generations=told["generations"],
        chain__memory=1 if accumulates else told["memory"],
        chain__generator=told["generator"],
        chain__n_ini=800,
    )


QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(told=SWEEPS, chosen=st.randoms(use_true_random=False))
def test_any_sweep_is_made_in_any_order_with_every_fit_once_and_then_complete(
    told: dict[str, Any], chosen: random.Random
) -> None:
    forest = any_forest(told)
    makes = Makes()
    makes.make(plan(forest, {}), chosen=chosen)
    assert sorted(makes.fitted) == sorted(forest.made)
    kept = {key for key, one in forest.made.items() if one.kept}
    assert weightless(makes.markers) == set(forest.made) - kept
    assert plan(forest, makes.markers).complete


@QUICK
@given(told=SWEEPS, chosen=st.randoms(use_true_random=False), share=st.sampled_from([0.05, 0.5]))
def test_after_any_loss_one_more_round_makes_the_sweep_complete(
    told: dict[str, Any], chosen: random.Random, share: float
) -> None:
    forest = any_forest(told)
    markers = made(forest)
    left = {pair: marker for pair, marker in markers.items() if chosen.random() > share}
    makes = Makes(left)
    todo = plan(forest, left)
    makes.make(todo, chosen=chosen)
    assert set(makes.fitted) == todo.fits
    assert len(makes.fitted) == len(todo.fits)
    assert plan(forest, makes.markers).complete


@QUICK
@given(told=SWEEPS, chosen=st.randoms(use_true_random=False), steps=st.integers(0, 12))
def test_after_a_stop_anywhere_a_new_plan_fits_nothing_twice(
    told: dict[str, Any], chosen: random.Random, steps: int
) -> None:
    forest = any_forest(told)
    makes = Makes()
    makes.make(plan(forest, {}), chosen=chosen, stop_after=steps)
    resumed = Makes(makes.markers)
    resumed.make(plan(forest, makes.markers), chosen=chosen)
    assert sorted(makes.fitted + resumed.fitted) == sorted(forest.made)
    assert plan(forest, resumed.markers).complete


@QUICK
@given(told=SWEEPS, chosen=st.randoms(use_true_random=False), steps=st.lists(st.integers(0, 9), max_size=3))
def test_after_workers_died_anywhere_the_same_plan_goes_on_and_fits_nothing_twice(
    told: dict[str, Any], chosen: random.Random, steps: list[int]
) -> None:
    forest = any_forest(told)
    todo = plan(forest, {})
    makes = Makes()
    for each in steps:
        makes.make(todo, chosen=chosen, stop_after=each)
    assert makes.make(todo, chosen=chosen)
    assert sorted(makes.fitted) == sorted(forest.made)
    assert plan(forest, makes.markers).complete


@QUICK
@given(told=SWEEPS, more=st.integers(1, 3))
def test_a_longer_sweep_that_keeps_all_fits_the_new_generations_alone(
    told: dict[str, Any], more: int
) -> None:
    told = {**told, "keep": "all"}
    longer = any_forest(told, generations=told["generations"] + more)
    todo = plan(longer, made(any_forest(told)))
    assert todo.fits == set(longer.made) - set(any_forest(told).made)
