"""Loops: exactly which draws come out, for every part, memory and generation of the design's table."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from madray.errors import BadInput
from madray.loops import Draw, PoolDraw, RealDraw, Sizes, SyntheticDraw, draws_of
from madray.spec.chain import Chain
from madray.spec.loops import ImportedLoop, Loop, Real, Split, Synthetic
from madray.streams import Stream

ERROR = 1e-6
"""How often a statistical check here would fail, were its seeds drawn anew."""

SEED, N_INI, N_R, N_S, N_FIXED = 5, 11, 3, 7, 2
REALS: list[Real] = ["none", "fixed", "fresh", "fixed+fresh"]
SYNTHETICS: list[Synthetic] = ["none", "latest", "memory", "accumulate", "accumulate_subsample"]
SPLITS: list[Split] = ["sample", "equal"]
EQUAL = {1: [7], 2: [4, 3], 3: [3, 2, 2]}
"""7 samples of so many generations, the newest first."""


def sizes(memory: int = 1) -> Sizes:
    return Sizes(N_INI, N_R, N_S, N_FIXED, memory)


def draws(real: Real, synthetic: Synthetic, split: Split, memory: int, t: int) -> tuple[Draw, ...]:
    return draws_of(Loop(real=real, synthetic=synthetic, split=split), t, sizes=sizes(memory), seed=SEED)


def told(draw: Draw) -> tuple[object, ...]:
    """A draw as the table of this test writes it."""
    if isinstance(draw, PoolDraw):
        return ("pool", draw.n, draw.stream.path, [told(part) for part in draw.pool])
    if isinstance(draw, RealDraw):
        return ("real", draw.n, draw.stream.path)
    assert draw.bias is None
    return (draw.tau, draw.n, draw.stream.path)


def expected_real(real: Real, t: int) -> list[tuple[object, ...]]:
    return {
        "none": [],
        "fixed": [("real", 3, (5, 1, "real"))],
        "fresh": [("real", 3, (5, t, "real"))],
        "fixed+fresh": [("real", 2, (5, 1, "real")), ("real", 3, (5, t, "real"))],
    }[real]


def expected_synthetic(synthetic: Synthetic, split: Split, memory: int, t: int) -> list[tuple[object, ...]]:
    all_of_them = [(tau, 7, (5, tau + 1, "synthetic", tau)) for tau in range(1, t)]
    pool = [("real", 11, (5, 1, "real")), *all_of_them]
    if synthetic == "none":
        return []
    if synthetic == "accumulate":
        return [*all_of_them]
    if synthetic == "accumulate_subsample":
        return [("pool", 7, (5, t, "subsample"), pool)]
    reach = min(memory, t - 1)
    counts = EQUAL[reach]
    if split == "sample":
        # A multinomial number of the stream called split; by what law is a test of its own, below.
        counts = Stream.of(5, t, "split").numpy().multinomial(7, [1 / reach] * reach).tolist()
    remembered = [(t - 1 - place, n, (5, t, "synthetic", t - 1 - place)) for place, n in enumerate(counts)]
    return [line for line in remembered if line[1] > 0]


@pytest.mark.parametrize("memory", [1, 2, 3])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("synthetic", SYNTHETICS)
@pytest.mark.parametrize("real", REALS)
def test_the_draws_are_those_of_the_table(
    real: Real, synthetic: Synthetic, split: Split, memory: int
) -> None:
    first = [told(draw) for draw in draws(real, synthetic, split, memory, 1)]
    assert first == [("real", 11, (5, 1, "real"))]
    for t in (2, 3, 4, 5):
        found = [told(draw) for draw in draws(real, synthetic, split, memory, t)]
        assert found == expected_real(real, t) + expected_synthetic(synthetic, split, memory, t)


@pytest.mark.parametrize(("real", "split", "memory"), [*itertools.product(REALS, SPLITS, [1, 2, 3])])
@pytest.mark.parametrize("synthetic", ["latest", "memory", "accumulate_subsample"])
def test_synthetic_counts_sum_to_n_s(real: Real, split: Split, memory: int, synthetic: Synthetic) -> None:
    for t in range(2, 8):
        found = draws(real, synthetic, split, memory, t)
        assert sum(draw.n for draw in found if not isinstance(draw, RealDraw)) == N_S


def test_accumulated_counts_sum_to_n_s_of_each_generation() -> None:
    for t in range(2, 8):
        assert sum(draw.n for draw in draws("none", "accumulate", "sample", 1, t)) == (t - 1) * N_S


def test_memory_of_every_length_counts_the_generations_that_there_are() -> None:
    for memory, t in itertools.product([1, 2, 3, 100], range(2, 7)):
        taus = [
            draw.tau
            for draw in draws("none", "memory", "equal", memory, t)
            if isinstance(draw, SyntheticDraw)
        ]
        assert taus == list(range(t - 1, max(t - 1 - memory, 0), -1))


@pytest.mark.parametrize(
    ("n_s", "counts"), [(9, [3, 3, 3]), (10, [4, 3, 3]), (11, [4, 4, 3]), (2, [1, 1]), (1, [1])]
)
def test_an_equal_split_gives_what_is_left_over_to_the_newest(n_s: int, counts: list[int]) -> None:
    loop = Loop(real="none", synthetic="memory", split="equal")
    found = draws_of(loop, 6, sizes=Sizes(9, n_s=n_s, memory=3), seed=0)
    assert [draw.n for draw in found] == counts
    assert [draw.tau for draw in found if isinstance(draw, SyntheticDraw)] == [5, 4, 3][: len(counts)]


def split_counts(seed: int, *, t: int = 5, n_s: int = 10, memory: int = 3) -> list[int]:
    """How many samples come from each of the last generations, the newest first."""
    loop = Loop(real="none", synthetic="memory")
    found = draws_of(loop, t, sizes=Sizes(9, n_s=n_s, memory=memory), seed=seed)
    by_tau = {draw.tau: draw.n for draw in found if isinstance(draw, SyntheticDraw)}
    return [by_tau.get(t - back, 0) for back in range(1, memory + 1)]


def test_each_sample_picks_its_generation_uniformly() -> None:
    # Totals over independent seeds are multinomial with equal shares: χ² with p < 1e-6 with probability 1e-6.
    totals = np.sum([split_counts(seed) for seed in range(3000)], axis=0)
    assert totals.sum() == 30_000
    assert stats.chisquare(totals).pvalue > ERROR


def test_each_sample_picks_its_generation_by_itself() -> None:
    # Were samples to pick together, counts would not be binomial. χ², the tail (< 5 expected) merged.
    newest = np.array([split_counts(seed)[0] for seed in range(3000)])
    expected = stats.binom.pmf(np.arange(11), 10, 1 / 3) * len(newest)
    found = np.bincount(newest, minlength=11).astype(float)
    expected, found = (np.append(line[:8], line[8:].sum()) for line in (expected, found))
    assert expected.min() > 5
    assert stats.chisquare(found, expected).pvalue > ERROR


def test_a_split_depends_on_seed_and_generation_alone() -> None:
    assert split_counts(1, n_s=1000) == split_counts(1, n_s=1000)
    several = {tuple(split_counts(seed, t=t, n_s=1000)) for seed in (1, 2) for t in (4, 5, 6)}
    assert len(several) == 6


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("memory", [1, 2, 3])
@pytest.mark.parametrize("synthetic", ["latest", "memory", "accumulate"])
def test_at_generation_2_all_synthetic_parts_agree(synthetic: Synthetic, memory: int, split: Split) -> None:
    assert draws("none", synthetic, split, memory, 2) == (
        SyntheticDraw(1, N_S, Stream.of(SEED, 2, "synthetic", 1)),
    )


def test_a_subsample_of_generation_2_is_of_that_draw_and_the_real_beginning() -> None:
    (pool,) = draws("none", "accumulate_subsample", "sample", 1, 2)
    assert isinstance(pool, PoolDraw)
    assert pool.pool == (
        *draws("none", "latest", "sample", 1, 1),
        *draws("none", "latest", "sample", 1, 2),
    )


@pytest.mark.parametrize("real", REALS)
def test_latest_is_memory_when_k_is_more_than_1(real: Real) -> None:
    for memory, t in itertools.product([1, 2, 3], range(1, 6)):
        assert draws(real, "latest", "sample", memory, t) == draws(real, "memory", "sample", memory, t)


def test_accumulated_draws_are_reused_and_not_made_again() -> None:
    for t in range(3, 7):
        assert draws("none", "accumulate", "sample", 1, t)[:-1] == draws(
            "none", "accumulate", "sample", 1, t - 1
        )


def test_a_subsample_is_anew_of_a_pool_that_goes_on() -> None:
    for t in range(3, 7):
        (now,), (before,) = (draws("none", "accumulate_subsample", "sample", 1, each) for each in (t, t - 1))
        assert isinstance(now, PoolDraw)
        assert isinstance(before, PoolDraw)
        assert now.pool[:-1] == before.pool
        assert now.stream != before.stream


@pytest.mark.parametrize("split", SPLITS)
def test_remembered_draws_are_made_anew(split: Split) -> None:
    streams = [draw.stream for t in range(2, 7) for draw in draws("none", "memory", split, 3, t)]
    assert len(set(streams)) == len(streams)


def test_a_fixed_set_is_the_beginning_of_generation_1s_stream() -> None:
    (first,) = draws("fixed", "none", "sample", 1, 1)
    for t in range(2, 6):
        assert draws("fixed", "none", "sample", 1, t) == (RealDraw(N_R, first.stream),)


def test_a_fixed_set_of_n_ini_samples_is_generation_1s_training_set() -> None:
    alike = Sizes(n_ini=8, n_r=8, n_s=4)
    loop = Loop(real="fixed", synthetic="latest")
    assert draws_of(loop, 4, sizes=alike, seed=0)[0] == draws_of(loop, 1, sizes=alike, seed=0)[0]


def test_fresh_sets_are_all_of_different_streams() -> None:
    streams = {draws("fresh", "none", "sample", 1, t)[0].stream for t in range(1, 10)}
    assert len(streams) == 9


def test_generation_1_is_n_ini_real_samples_in_every_loop() -> None:
    found = {
        draws_of(Loop(real=real, synthetic=synthetic, split=split), 1, sizes=some, seed=0)
        for real, synthetic, split in itertools.product(REALS, SYNTHETICS, SPLITS)
        for some in (Sizes(4), Sizes(4, 1, 2, 3, 5))
    }
    assert found == {(RealDraw(4, Stream.of(0, 1, "real")),)}


def test_streams_name_the_seed() -> None:
    loop = Loop(real="fixed+fresh", synthetic="accumulate_subsample")
    one, other = (draws_of(loop, 3, sizes=sizes(), seed=seed) for seed in (0, 1))
    assert {draw.stream.path[0] for draw in one} == {0}
    assert {draw.stream.path[0] for draw in other} == {1}


def sizes_of(p: float, loop: str) -> Sizes:
    fields = {"reference": "gaussian", "generator": "gaussian", "loop": loop, "n_ini": 9, "generations": 3}
    chain = Chain.model_validate({**fields, "p": p, "n": 10})
    return Sizes(chain.n_ini, chain.real_size, chain.synthetic_size)


@pytest.mark.parametrize(
    ("p", "expected"), [(0.0, [(2, 10)]), (1.0, [("real", 10)]), (0.25, [("real", 2), (2, 8)])]
)
def test_p_of_0_or_1_leaves_a_part_empty(p: float, expected: list[tuple[object, int]]) -> None:
    loop = Loop(real="fresh", synthetic="latest")
    assert [told(draw)[:2] for draw in draws_of(loop, 3, sizes=sizes_of(p, "fresh_data"), seed=0)] == expected


@pytest.mark.parametrize("synthetic", ["latest", "memory", "accumulate", "accumulate_subsample"])
def test_p_of_1_is_the_real_only_control(synthetic: Synthetic) -> None:
    real_only = draws_of(Loop(real="fresh", synthetic="none"), 4, sizes=Sizes(9, n_r=10), seed=0)
    mix = draws_of(Loop(real="fresh", synthetic=synthetic), 4, sizes=Sizes(9, n_r=10, n_s=0), seed=0)
    assert mix == real_only


@pytest.mark.parametrize("t", [0, -1])
def test_there_is_no_generation_before_the_first(t: int) -> None:
    with pytest.raises(ValueError, match=f"expected a generation of 1 or more, got {t}"):
        draws("fresh", "latest", "sample", 1, t)


OWN = '''
from madray.loops import PoolDraw, RealDraw, SyntheticDraw, real_stream, synthetic_stream


class EverySecond:
    """The generation before last (the first, at t = 2), at a λ of its own, beside fresh data."""

    def __init__(self, *, bias=None):
        self.bias = bias

    def draws(self, t, *, sizes, seed):
        tau = max(t - 2, 1)
        yield RealDraw(sizes.n_r, real_stream(seed, t))
        yield SyntheticDraw(tau, sizes.n_s, synthetic_stream(seed, t, tau), self.bias)


class Gives:
    """What its settings say."""

    def __init__(self, *, what):
        self.what = what

    def draws(self, t, *, sizes, seed):
        stream = synthetic_stream(seed, t, 1)
        return {
            "nothing": [],
            "no samples": [RealDraw(0, stream)],
            "text": ["draw"],
            "itself": [SyntheticDraw(t, 5, stream)],
            "generation 0": [SyntheticDraw(0, 5, stream)],
            "too few": [RealDraw(-5, stream)],
            "a part of a sample": [RealDraw(2.5, stream)],
            "a bias": [SyntheticDraw(1, 5, stream, 1.5)],
            "a small pool": [PoolDraw(9, stream, (RealDraw(4, stream), RealDraw(4, stream)))],
            "a pool of the future": [PoolDraw(9, stream, (SyntheticDraw(t + 1, 10, stream),))],
            "a zero": [RealDraw(0, stream), SyntheticDraw(1, 5, stream)],
        }[self.what]
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with loops of a user's own."""
    (tmp_path / "loops_of_my_own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "loops_of_my_own"


def test_a_loop_of_the_users_own_gives_its_draws(own: str) -> None:
    loop = ImportedLoop.model_validate({"kind": f"{own}:EverySecond", "bias": 0.5})
    assert draws_of(loop, 1, sizes=sizes(), seed=SEED) == (RealDraw(N_INI, Stream.of(SEED, 1, "real")),)
    for t, tau in [(2, 1), (3, 1), (4, 2), (5, 3)]:
        assert draws_of(loop, t, sizes=sizes(), seed=SEED) == (
            RealDraw(N_R, Stream.of(SEED, t, "real")),
            SyntheticDraw(tau, N_S, Stream.of(SEED, t, "synthetic", tau), 0.5),
        )


def test_a_draw_of_no_samples_is_left_out_of_a_loop_of_the_users_own(own: str) -> None:
    loop = ImportedLoop.model_validate({"kind": f"{own}:Gives", "what": "a zero"})
    assert draws_of(loop, 3, sizes=sizes(), seed=0) == (SyntheticDraw(1, 5, Stream.of(0, 3, "synthetic", 1)),)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("nothing", " samples for t = 3, got none"),
        ("no samples", " samples for t = 3, got none"),
        ("text", ", for t = 3, draws of madray.loops, got draw"),
        ("itself", ", for t = 3, draws from generations before it, got SyntheticDraw(tau=3"),
        ("generation 0", ", for t = 3, draws from generations before it, got SyntheticDraw(tau=0"),
        ("too few", ", for t = 3, numbers of samples, got RealDraw(n=-5"),
        ("a part of a sample", ", for t = 3, numbers of samples, got RealDraw(n=2.5"),
        ("a bias", ", for t = 3, λ in [0, 1], got SyntheticDraw(tau=1"),
        ("a small pool", ", for t = 3, draws of no more than their pool holds, got PoolDraw(n=9"),
        ("a pool of the future", ", for t = 3, draws from generations before it, got PoolDraw(n=9"),
    ],
)
def test_what_is_no_training_set_is_refused(own: str, what: str, expected: str) -> None:
    loop = ImportedLoop.model_validate({"kind": f"{own}:Gives", "what": what})
    with pytest.raises(BadInput) as refused:
        draws_of(loop, 3, sizes=sizes(), seed=0)
    assert str(refused.value).startswith("chain.loop: expected ")
    assert f"{own}:Gives to give{expected}" in str(refused.value)


def test_a_loop_that_does_not_take_its_settings_is_refused(own: str) -> None:
    loop = ImportedLoop.model_validate({"kind": f"{own}:EverySecond", "colour": "red"})
    with pytest.raises(
        BadInput, match=r"chain\.loop: expected .*:EverySecond to take its settings, got TypeError: "
    ):
        draws_of(loop, 2, sizes=sizes(), seed=0)
