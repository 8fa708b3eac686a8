"""Claims over seeds are as sure as they say, with many seeds, with few, and with one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from madray.errors import BadInput
from madray.report.per_seed import ALONE, LEVEL, PerSeed, all_above, counts_from, how_sure, none_differs
from madray.streams import Stream


def per_seed(*values: float, noise: float = 0.1) -> PerSeed:
    return PerSeed(np.array(values), noise)


def test_differences_are_taken_seed_by_seed() -> None:
    shared = np.array([0.0, 100.0, -50.0])
    difference = PerSeed(shared + np.array([1.0, 1.1, 0.9]), 0.1) - PerSeed(shared, 0.1)
    assert difference.values == pytest.approx([1.0, 1.1, 0.9])
    assert difference.noise == pytest.approx(0.1 * 2**0.5)
    assert all_above("it rises", [difference]).holds


def test_arithmetic_keeps_values_and_noise_together() -> None:
    one, other = per_seed(4.0, 6.0, noise=0.3), per_seed(2.0, 2.0, noise=0.4)
    assert (one + other).values.tolist() == [6.0, 8.0]
    assert (one + other).noise == pytest.approx(0.5)
    assert ((0.5 * one).values.tolist(), (-0.5 * one).noise) == ([2.0, 3.0], pytest.approx(0.15))
    assert (one.above(1.0).values.tolist(), one.below(1.0).values.tolist()) == ([3.0, 5.0], [-3.0, -5.0])
    ratio = one / other
    assert ratio.values.tolist() == [2.0, 3.0]
    # Both relative errors, added in squares: (0.3/5)² + (0.4/2)², times the ratio of 2.5.
    assert ratio.noise == pytest.approx(2.5 * math.hypot(0.3 / 5, 0.4 / 2))


def test_the_noise_of_a_ratio_is_that_of_many_ratios() -> None:
    rng = Stream.of("ratio").numpy()
    top, bottom = 3 + 0.1 * rng.standard_normal(20_000), 2 + 0.05 * rng.standard_normal(20_000)
    told = (per_seed(3.0, noise=0.1) / per_seed(2.0, noise=0.05)).noise
    assert told == pytest.approx(np.std(top / bottom), rel=0.05)  # 10 standard errors of the std


def test_a_claim_is_as_sure_as_its_least_sure_number() -> None:
    sure, unsure = per_seed(9.0, 9.1, 8.9), per_seed(1.0, 1.5, 0.5)
    assert all_above("x", [sure]).holds
    claim = all_above("x", [sure, unsure])
    assert not claim.holds
    # Of 3 seeds t = 6.96, so that the interval is 1 ± 6.96 · 0.5/√3.
    assert claim.evidence == "the least sure of 2 is 1 (-1.01 to 3.01), 3.46 standard errors above 0"
    told = all_above("x", [per_seed(-1.0, -1.1)]).evidence
    assert told == "it is -1.05 (-2.64 to 0.541), 21 standard errors below 0"


def test_a_claim_holds_does_not_or_is_not_decided() -> None:
    unsure = per_seed(1.0, 1.5, 0.5)
    below = per_seed(-9.0, -9.1, -8.9)
    assert all_above("x", [per_seed(9.0, 9.1, 8.9)]).holds is True
    assert all_above("x", [unsure]).holds is None
    assert all_above("x", [per_seed(1.0, -1.0)]).holds is None
    assert all_above("x", [below]).holds is False
    assert all_above("x", [unsure, below]).holds is False
    for one in (unsure, below, per_seed(9.0, 9.1, 8.9), per_seed(1.0, -1.0)):
        claim = all_above("x", [one])
        low, high = map(float, claim.evidence.partition("(")[2].partition(")")[0].split(" to "))
        assert claim.holds is (True if low > 0 else False if high < 0 else None)  # as the interval says


def test_what_all_seeds_agree_on_is_sure_and_0_is_not_above_0() -> None:
    claim = all_above("x", [per_seed(0.1, 0.1, 0.1 + 1e-17)])
    assert (claim.holds, claim.evidence) == (True, "it is 0.1, above 0 by as much for all seeds")
    none = all_above("x", [per_seed(0.0, 0.0)])
    assert (none.holds, none.evidence) == (False, "it is 0, for all seeds")
    assert all_above("x", [per_seed(0.0)]).holds is None  # one seed, and what measuring may change
    assert all_above("x", [per_seed(-0.1, -0.1)]).holds is False
    assert none_differs("x", [per_seed(0.0, 0.0)]).holds
    assert not none_differs("x", [per_seed(0.1, 0.1)]).holds


def test_one_seed_is_judged_by_the_noise_of_measuring_and_says_so() -> None:
    claim = all_above("x", [per_seed(0.41, noise=0.1)])
    assert claim.holds
    assert claim.evidence == ("it is 0.41 (one seed: no interval), 4.1 times the noise of measuring above 0")
    assert all_above("x", [per_seed(0.39, noise=0.1)]).holds is None
    assert all_above("x", [per_seed(-0.39, noise=0.1)]).holds is None
    assert all_above("x", [per_seed(-0.41, noise=0.1)]).holds is False
    assert none_differs("x", [per_seed(0.39, noise=0.1)]).holds
    assert not none_differs("x", [per_seed(-0.41, noise=0.1)]).holds


def test_the_rule_is_told_for_one_seed_and_for_several() -> None:
    assert "There is one seed, and so no interval" in how_sure(1)
    assert f"from {ALONE:g} times on" in how_sure(1)
    assert "over 3 seeds. One counts from 6.96 standard errors on" in how_sure(3)


def test_nothing_is_claimed_of_what_is_not_a_number() -> None:
    for broken in (per_seed(math.nan, 1.0), per_seed(1.0, noise=math.nan), per_seed(1.0) / per_seed(0.0)):
        assert all_above("x", [broken]).holds is None
        assert none_differs("x", [broken]).holds is None
    assert all_above("x", [per_seed(5.0, 5.1), per_seed(math.nan, 1.0)]).holds is None


@pytest.mark.parametrize("claim", [all_above, none_differs])
def test_nothing_is_claimed_of_nothing(claim: object) -> None:
    assert callable(claim)
    with pytest.raises(BadInput, match="expected numbers to judge by whether it rises, got none"):
        claim("it rises", [])


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_chance_alone_makes_something_of_nothing_as_often_as_is_said(seeds: int) -> None:
    draws = Stream.of("per-seed", seeds).numpy().standard_normal((20_000, seeds))
    errors = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / seeds**0.5)
    # The bound that `all_above` takes, on many sweeps at once; 5 standard errors of the share.
    share = float(np.mean(errors >= counts_from(seeds)))
    assert abs(share - LEVEL) < 5 * math.sqrt(LEVEL * (1 - LEVEL) / len(draws))
    few = [bool(all_above("x", [PerSeed(draw, 0.0)]).holds) for draw in draws[:500]]
    assert few == (errors[:500] >= counts_from(seeds)).tolist()


def test_chance_alone_seldom_makes_one_of_many_differ() -> None:
    draws = Stream.of("per-seed", "pairs").numpy().standard_normal((1500, 4, 3))
    seen = [not none_differs("x", [PerSeed(each, 0.0) for each in draw]).holds for draw in draws]
    # At most LEVEL of them: 15 of 1500 on average; more than 35 in 1 of 10⁵ runs.
    assert sum(seen) <= 35
