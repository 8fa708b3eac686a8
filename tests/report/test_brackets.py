"""Brackets: what is said of a value holds wherever it lies between its ends."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from madray.report.brackets import Brackets, all_rise


def brackets(*ends: tuple[float, float, float]) -> Brackets:
    low, value, high = np.array(ends).T
    return Brackets(value, low, high)


def test_values_rise_where_their_brackets_do_not_touch() -> None:
    assert all_rise("x", [brackets((1, 2, 3), (3.1, 4, 5))]).holds
    assert not all_rise("x", [brackets((1, 2, 3), (3, 4, 5))]).holds
    assert not all_rise("x", [brackets((1, 2, 3), (0, 4, 5))]).holds


def test_one_series_that_does_not_rise_is_enough_to_fail() -> None:
    rises, falls = brackets((1, 2, 3), (4, 5, 6)), brackets((4, 5, 6), (1, 2, 3))
    claim = all_rise("x", [rises, falls, rises])
    assert not claim.holds
    assert (
        claim.evidence == "the least of 3 steps is a factor of 0.167, from 6 to 1, which are ends of brackets"
    )


def test_infinite_values_are_above_finite_ones_and_nothing_is_above_them() -> None:
    # The low end of an infinite bracket says only how far was looked.
    infinite = (1.0, math.inf, math.inf)
    assert all_rise("x", [brackets((1, 2, 3), infinite)]).holds
    assert not all_rise("x", [brackets(infinite, infinite)]).holds
    assert not all_rise("x", [brackets(infinite, (1, 2, 3))]).holds


def test_they_are_read_from_three_columns_and_divided() -> None:
    frame = pd.DataFrame({"n_s_star": [20, 30], "n_s_star_low": [10, 25], "n_s_star_high": [30, 35]})
    shares = Brackets.of(frame, "n_s_star").over(np.array([10.0, 5.0]))
    assert shares.low == pytest.approx([1.0, 5.0])
    assert shares.value == pytest.approx([2.0, 6.0])
    assert shares.high == pytest.approx([3.0, 7.0])
