"""Counted shares are as sure as they say, also in tails so thin that hardly a sample is there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from madray.report.counted import Counted, above_by_counting, counting_noise, share, squared_error
from madray.report.per_seed import LEVEL, PerSeed, all_above
from madray.streams import Stream

N = 20_000


@pytest.mark.parametrize("p", [0.3, 0.0455, 0.0027])
def test_the_noise_of_counting_is_that_of_many_counts(p: float) -> None:
    counts = Stream.of("counts", str(p)).numpy().binomial(N, p, size=20_000)
    # 10 standard errors of the standard deviation; the 4 samples made up are 2 % of 0.0027.
    assert counting_noise(p, N) == pytest.approx(np.std(counts / N), rel=0.05)


def test_no_sample_in_a_tail_does_not_mean_that_its_mass_is_known() -> None:
    none = share(np.zeros(8), N)
    assert none.noise == pytest.approx(math.sqrt(2 / N / N), rel=1e-3)  # 2 made-up samples of 20,000
    assert Counted(none.values, none.noise).errors == 0
    difference = share(np.full(8, 0.0455), N) - none
    assert all_above("plain", [difference]).evidence.endswith("above 0 by as much for all seeds")
    error = math.sqrt((0.0455 * 0.9545 / N + 2 / N**2) / 8)
    counted = Counted(difference.values, difference.noise)
    assert counted.errors == pytest.approx(0.0455 / error, rel=2e-3)  # by the samples made up
    assert above_by_counting("counted", difference).evidence.endswith("87.1 standard errors above 0")


def test_seeds_that_differ_more_than_counting_count_by_themselves() -> None:
    number = PerSeed(np.array([1.0, 1.5, 0.5]), noise=0.1)
    assert above_by_counting("x", number) == all_above("x", [number])


def test_one_seed_counts_by_its_noise() -> None:
    assert above_by_counting("x", PerSeed(np.array([1.0]), noise=0.2)).holds
    assert above_by_counting("x", PerSeed(np.array([1.0]), noise=0.5)).holds is None


@pytest.mark.parametrize("p", [0.0455, 1e-4, 1e-5])
def test_chance_alone_makes_of_nothing_something_no_more_often_than_it_says(p: float) -> None:
    """Both shares are p: of 1000 sweeps of 8 seeds at most 10 hold by chance, give or take 3.1. 4.5 of these are
    allowed more, which fails by chance in less than one of 10,000."""
    random = Stream.of("nothing", str(p)).numpy()
    pairs = random.binomial(N, p, size=(1000, 2, 8)) / N
    found = [above_by_counting("x", share(one, N) - share(other, N)).holds for one, other in pairs]
    assert found.count(True) <= 1000 * LEVEL + 4.5 * 3.1


def test_the_noise_of_a_squared_error_is_that_of_many() -> None:
    random = Stream.of("squares").numpy()
    for error in (0.0, 0.5, 3.0):
        many = (error + random.standard_normal(40_000)) ** 2
        found = squared_error(PerSeed(np.full(3, 7.0 + error), noise=1.0), 7.0)
        assert found.values == pytest.approx(error**2)
        # The standard deviation of χ²(1), the worst of these, has a relative standard error of 0.9 % here.
        assert found.noise == pytest.approx(np.std(many), rel=0.05)
