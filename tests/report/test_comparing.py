"""Claims are as sure as they say: what chance makes does not count, and what counts is not overlooked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from madray.errors import BadInput
from madray.report.comparing import (
    ERROR_RATE,
    SURE,
    all_above,
    all_within,
    combined,
    joined,
    less,
    logged,
    none_differs,
    pairs,
    slope,
    steps,
)
from madray.streams import Stream
from madray.theory import Estimate
from madray.theory.estimate import Array


def estimate(mean: list[float], error: float | list[float] = 0.1) -> Estimate[Array]:
    return Estimate(np.array(mean), np.broadcast_to(np.array(error, dtype=float), len(mean)).copy())


def test_a_claim_is_as_sure_as_its_least_sure_value() -> None:
    assert all_above("x", estimate([0.4, 9.0])).holds
    claim = all_above("x", estimate([0.39, 9.0]))
    assert not claim.holds
    assert claim.evidence == "the least sure of 2 is 0.39, 3.9 standard errors above 0"
    assert all_above("x", estimate([0.6, 0.9], [0.1, 0.3])).evidence.startswith(
        "the least sure of 2 is 0.9, 3 "
    )


def test_a_bound_is_no_zero() -> None:
    assert not all_above("x", estimate([1.3]), bound=1.0).holds
    claim = all_above("x", estimate([0.5]), bound=1.0)
    assert not claim.holds
    assert claim.evidence == "it is 0.5, 5 standard errors below 1"


def test_what_is_within_a_margin_is_so_with_its_standard_errors() -> None:
    assert all_within("x", estimate([0.1, -0.1], 0.02), 0.2).holds
    assert not all_within("x", estimate([0.1, -0.1], 0.03), 0.2).holds
    assert not all_within("x", estimate([0.0, -0.3], 0.0), 0.2).holds


def test_nothing_is_claimed_of_what_is_not_a_number() -> None:
    for claim in (all_above, none_differs):
        assert not claim("x", estimate([5.0, math.nan])).holds
        assert not claim("x", estimate([5.0, 5.0], math.nan)).holds
    assert not all_within("x", estimate([math.nan]), 1.0).holds


@pytest.mark.parametrize("claim", [all_above, none_differs, lambda *given: all_within(*given, 1.0)])
def test_nothing_is_claimed_of_nothing(claim: object) -> None:
    assert callable(claim)
    with pytest.raises(BadInput, match="expected numbers to judge by whether it rises, got none"):
        claim("it rises", estimate([]))


def test_chance_alone_seldom_makes_a_difference_and_as_often_as_is_said() -> None:
    rng = Stream.of("comparing").numpy()
    draws = rng.standard_normal((20000, 21, 2))
    errors = draws.std(axis=1, ddof=1) / math.sqrt(21)
    means = draws.mean(axis=1)
    false_alarms = np.mean(means[:, 0] / errors[:, 0] >= SURE)
    assert abs(false_alarms - ERROR_RATE) < 4 * math.sqrt(ERROR_RATE / len(draws))
    seen = [
        not none_differs("x", Estimate(*pair)).holds for pair in zip(means[:3000], errors[:3000], strict=True)
    ]
    assert np.mean(seen) < 4 * ERROR_RATE + 4 * math.sqrt(4 * ERROR_RATE / 3000)


@pytest.mark.parametrize("correlation", [-1.0, 0.0, 1.0])
def test_errors_of_differences_are_large_enough_whatever_the_correlation(correlation: float) -> None:
    one, more = Stream.of("correlated").numpy().standard_normal((2, 4000))
    other = correlation * one + math.sqrt(1 - correlation**2) * more
    error = less(estimate([0.0], 1.0), estimate([0.0], 1.0)).standard_error[0]
    assert (one - other).std() < 1.05 * error


def test_differences_and_slopes_are_what_they_are_called() -> None:
    values = estimate([1.0, 4.0, 9.0])
    assert steps(values).mean.tolist() == [3.0, 5.0]
    assert pairs(values).mean.tolist() == [-3.0, -8.0, -5.0]
    assert pairs(estimate([1.0])).mean.size == 0
    assert less(values, estimate([1.0, 1.0, 1.0], 0.2)).standard_error == pytest.approx([0.3] * 3)
    assert joined([steps(values), values]).mean.tolist() == [3.0, 5.0, 1.0, 4.0, 9.0]
    assert combined(np.array([[1.0, -2.0, 1.0]]), values).standard_error == pytest.approx([0.4])


def test_a_slope_is_that_of_a_power_and_its_error_covers_what_noise_does_to_it() -> None:
    x = np.array([10.0, 30.0, 200.0, 1000.0])
    exact = slope(x, Estimate(7 * x**-1.5, 0.01 * 7 * x**-1.5))
    assert exact.mean == pytest.approx([-1.5])
    noise = Stream.of("slope").numpy().standard_normal((500, 4))
    found = [slope(x, Estimate(7 * x**-1.5 * np.exp(0.01 * each), 0 * x)).mean[0] for each in noise]
    assert exact.standard_error[0] / 2 < np.std(found) < exact.standard_error[0]


def test_logarithms_have_relative_errors() -> None:
    found = logged(estimate([10.0, 100.0], [0.1, 2.0]))
    assert found.mean == pytest.approx([math.log(10), math.log(100)])
    assert found.standard_error == pytest.approx([0.01, 0.02])
