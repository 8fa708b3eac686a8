"""The schedule: every piece once, none before its parents, and a failure takes its descendants alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from madray.calculations import CalculationPlan, Calculations
from madray.engine.schedule import Schedule, chains_of
from madray.engine.work import Work
from madray.forest import Order, RealOrder, Source
from madray.growth import Forest, grow
from madray.plan import Plan, Segment, plan
from madray.spec.reading import TheoryFile, check_sweep


def _a_plan(generator: str) -> Plan:
    chain = {"reference": "gmm25", "generator": generator, "loop": "fully_synthetic", "n_ini": 9, "n_s": 9}
    file = check_sweep({"name": "s", "chain": {**chain, "generations": 1}}, name="test")
    return plan(grow(file.sweep, file.cells, lambda chain: Source(chain.reference, None)), {})


def _an_order(generator: str) -> Order:
    [segment] = _a_plan(generator).segments
    return segment.orders[0]


SMALL, LARGE = _an_order("gaussian"), _an_order("ddpm")
[REAL] = _a_plan("gaussian").real


def segment(name: str, waits_for: set[str] | None = None, *, small: bool = False, orders: int = 1) -> Segment:
    order = SMALL if small else LARGE
    return Segment(name, (order,) * orders, frozenset(waits_for or ()), frozenset({sum(map(ord, name))}))


def schedule_of(*works: Work, workers: int = 1) -> Schedule:
    real = tuple(work for work in works if isinstance(work, RealOrder))
    segments = tuple(work for work in works if isinstance(work, Segment))
    return Schedule(Plan(Forest({}, [], {}), real, segments, (), frozenset()), workers=workers)


@st.composite
def graphs(draw: st.DrawFn) -> list[Work]:
    """Pieces that wait for some of those before them, in any order; ids that do not sort by it."""
    n = draw(st.integers(0, 14))
    names = draw(st.permutations([f"s{index:02}" for index in range(n)]))
    works: list[Work] = [REAL] if draw(st.booleans()) else []
    for index, name in enumerate(names):
        parents = draw(st.sets(st.sampled_from(names[:index]), max_size=3)) if index else set()
        if works and isinstance(works[0], RealOrder) and draw(st.booleans()):
            parents = parents | {REAL.id}
        if draw(st.integers(0, 9)) == 0:
            parents = parents | {"in the store already"}
        works.append(segment(name, parents, small=draw(st.booleans()), orders=draw(st.integers(1, 3))))
    return works


def parents_of(works: list[Work]) -> dict[str, set[str]]:
    names = {work.id for work in works}
    return {work.id: set(work.waits_for) & names for work in works}


def descendants(name: str, parents: Mapping[str, set[str]]) -> set[str]:
    found = {name}
    while more := {each for each, of in parents.items() if of & found} - found:
        found |= more
    return found


@settings(max_examples=300, deadline=None)
@given(works=graphs(), workers=st.integers(1, 4), data=st.data())
def test_every_piece_once_after_its_parents_and_over_and_exhausted_right_at_every_step(
    works: list[Work], workers: int, data: st.DataObject
) -> None:
    schedule = schedule_of(*works, workers=workers)
    parents = parents_of(works)
    handed: list[str] = []
    back: set[str] = set()
    running: list[str] = []
    done: set[str] = set()
    failed: set[str] = set()
    never: set[str] = set()
    for _ in range(4 * len(works) + 4):
        waiting = set(parents) - done - failed - set(running)
        ready = {name for name in waiting if parents[name] <= done}
        assert schedule.over == (not waiting and not running)
        assert schedule.exhausted == (not waiting)
        assert (schedule.done, schedule.failed) == (done, failed)
        step = data.draw(st.sampled_from(["take", "made", "made", "fail", "give back"]))
        if step == "take" or not running:
            taken = schedule.take()
            assert bool(taken) == bool(ready)
            assert set(taken) <= ready
            if len(taken) > 1:
                assert all(isinstance(w := schedule.work[name], Segment) and w.milliseconds for name in taken)
                assert back.isdisjoint(taken)
            handed += taken
            running += taken
            if not taken and not running:
                break
        elif step == "made":
            name = running.pop(data.draw(st.integers(0, len(running) - 1)))
            schedule.made(name, data.draw(st.floats(0, 5)))
            done.add(name)
        elif step == "give back":
            name = running.pop(data.draw(st.integers(0, len(running) - 1)))
            schedule.give_back(name)
            handed.remove(name)
            back.add(name)
        else:
            name = running.pop(data.draw(st.integers(0, len(running) - 1)))
            lost = schedule.fail(name)
            assert lost == descendants(name, parents)
            failed |= lost
            never |= lost - set(handed)
    assert len(handed) == len(set(handed))
    assert never.isdisjoint(handed)


@given(works=graphs(), workers=st.integers(1, 4))
def test_without_a_failure_everything_is_handed_out_and_made(works: list[Work], workers: int) -> None:
    schedule = schedule_of(*works, workers=workers)
    handed = []
    while names := schedule.take():
        handed += names
        for name in names:
            schedule.made(name, 0.01)
    assert sorted(handed) == sorted(work.id for work in works)
    assert schedule.over and schedule.exhausted


def test_what_waits_is_handed_out_when_the_last_of_its_parents_is_made() -> None:
    schedule = schedule_of(segment("a"), segment("b"), segment("c", {"a", "b"}))
    assert (schedule.take(), schedule.take(), schedule.take()) == (["a"], ["b"], [])
    assert not schedule.exhausted  # c is still to come
    schedule.made("a", 1)
    assert schedule.take() == []
    schedule.made("b", 1)
    assert schedule.take() == ["c"]
    assert schedule.exhausted and not schedule.over
    schedule.made("c", 1)
    assert schedule.over


def test_the_real_side_comes_first_then_what_most_hangs_on() -> None:
    schedule = schedule_of(
        segment("a"), segment("b", orders=3), segment("c"), segment("d", {"c"}, orders=5), REAL, workers=1
    )
    assert [schedule.take() for _ in range(4)] == [[REAL.real.key], ["c"], ["b"], ["a"]]


def test_a_failure_fails_exactly_its_descendants() -> None:
    works = [segment("a"), segment("b", {"a"}), segment("c", {"b"}), segment("d"), segment("e", {"a", "d"})]
    schedule = schedule_of(*works, segment("f", {"d"}))
    taken = [schedule.take(), schedule.take()]
    assert sorted(taken) == [["a"], ["d"]]
    assert schedule.fail("a") == {"a", "b", "c", "e"}
    schedule.made("d", 1)
    assert schedule.take() == ["f"]
    assert schedule.take() == []
    assert schedule.exhausted and not schedule.over
    schedule.made("f", 1)
    assert schedule.over


def test_news_that_comes_twice_or_too_late_changes_nothing() -> None:
    schedule = schedule_of(segment("a"), segment("b", {"a"}))
    schedule.take()
    for _ in range(2):
        schedule.made("a", 1)
    assert schedule.take() == ["b"]
    for _ in range(2):
        schedule.fail("b")
    schedule.made("b", 1)
    assert (schedule.done, schedule.failed, schedule.over) == ({"a"}, {"b"}, True)
    assert schedule.fail("a") == set()  # it is made, whatever comes after
    assert (schedule.done, schedule.failed, schedule.over) == ({"a"}, {"b"}, True)


def test_what_waits_for_something_outside_the_plan_does_not_wait() -> None:
    assert schedule_of(segment("a", {"made long ago"})).take() == ["a"]


def test_nothing_to_do_is_over_at_once() -> None:
    schedule = schedule_of()
    assert schedule.over and schedule.exhausted
    assert schedule.take() == []


def test_only_pieces_of_milliseconds_come_in_batches() -> None:
    works = [segment(f"s{index}", small=True) for index in range(6)] + [
        segment(f"l{index}") for index in range(6)
    ]
    schedule = schedule_of(*works)
    batches = []
    while names := schedule.take():
        batches.append(names)
        for name in names:
            schedule.made(name, 0.001)
    assert sorted(map(len, batches)) == [1] * 6 + [6]


def test_the_first_batches_are_small_and_leave_something_for_every_worker() -> None:
    works = [segment(f"s{index:03}", small=True) for index in range(100)]
    assert len(schedule_of(*works, workers=1).take()) == 8
    assert len(schedule_of(*works[:6], workers=4).take()) == math.ceil(6 / 4)
    schedule = schedule_of(*works[:8], workers=8)
    assert [len(schedule.take()) for _ in range(8)] == [1] * 8


def test_long_chains_of_milliseconds_go_out_one_by_one() -> None:
    works = [segment(f"s{index:03}", small=True, orders=2000) for index in range(20)]
    assert [len(schedule_of(*works, workers=2).take())] == [1]


def test_batches_fill_about_two_seconds_once_the_time_of_a_piece_is_known() -> None:
    works = [segment(f"s{index:03}", small=True) for index in range(900)]
    for seconds, size in ((0.125, 16), (5.0, 1), (0.0, 446)):
        schedule = schedule_of(*works, workers=2)
        for name in schedule.take():
            schedule.made(name, seconds)
        assert len(schedule.take()) == size  # at most its share of what is ready: 892 / 2


def calculations(n: int) -> CalculationPlan:
    theory = {"kind": "boundary", "d": 9}
    file = check_sweep({"name": "s", "theory": theory, "grid": {"n_r": list(range(2, n + 2))}}, name="test")
    assert isinstance(file, TheoryFile)
    return CalculationPlan.of(Calculations.of(file.cells, [0]), {})


def test_the_first_calculations_go_out_alone_and_then_fill_about_two_seconds() -> None:
    schedule = Schedule(calculations(900), workers=2)
    first, second = schedule.take(), schedule.take()
    assert (len(first), len(second)) == (1, 1)
    schedule.made(first[0], 0.125)
    assert len(schedule.take()) == 16


def test_long_calculations_go_out_alone() -> None:
    schedule = Schedule(calculations(9), workers=2)
    handed = []
    while names := schedule.take():
        assert len(names) == 1
        handed += names
        schedule.made(names[0], 20.0)
    assert len(set(handed)) == 9
    assert schedule.over


def test_the_chains_of_pieces_are_those_of_their_segments() -> None:
    one, other = segment("a"), segment("b")
    assert chains_of([one, other, REAL]) == set(one.chains | other.chains)


def test_what_failed_before_its_turn_is_not_handed_out_when_its_parents_are_made() -> None:
    schedule = schedule_of(segment("a"), segment("b", {"a"}), segment("c", {"a"}))
    schedule.fail("b")
    assert schedule.take() == ["a"]
    schedule.made("a", 1)
    assert schedule.take() == ["c"]
    assert (schedule.take(), schedule.exhausted) == ([], True)
    assert [schedule.settled(name) for name in "abc"] == [True, True, False]


def test_large_and_small_pieces_take_turns_by_what_hangs_on_them() -> None:
    works = [
        segment("a", small=True),
        segment("b", orders=3),
        segment("c", small=True, orders=5),
        segment("d"),
    ]
    schedule = schedule_of(*works, workers=1)
    assert schedule.in_order() == ["c", "b", "a", "d"]
    assert [schedule.take() for _ in range(3)] == [["c", "a"], ["b"], ["d"]]
