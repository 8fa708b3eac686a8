"""E W2² and E W2 of real samples alone, the shipped table, and the effective sample size."""

import math

import numpy as np
import pytest

from madray import theory
from madray.theory import real_only
from madray.theory.estimate import Estimate


@pytest.mark.parametrize("n", [2, 3, 20, 1000])
def test_in_one_dimension_it_is_a_closed_form(n):
    k = n - 1
    exact = 1 / n + 2 - 2 * math.sqrt(2 / k) * math.exp(math.lgamma(n / 2) - math.lgamma(k / 2))
    found = theory.real_only_w2_squared(1, n, rtol=1e-3)
    assert abs(found.mean - exact) < 4 * found.standard_error


def test_two_samples_have_one_direction():
    # Σ has the one eigenvalue χ²_d, so E W2² = d/2 + (d − 1) + E(χ_d − 1)².
    d = 100
    root = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    found = theory.real_only_w2_squared(d, 2)
    assert abs(found.mean - (d / 2 + d - 1 + d - 2 * root + 1)) < 4 * found.standard_error


@pytest.mark.parametrize(("d", "n"), [(30, 5), (30, 30), (30, 31), (30, 32), (30, 300)])
def test_the_bidiagonal_form_agrees_with_full_wishart_matrices(d, n):
    full = theory.simulate(d, n, 0, 1.0, n_ini=n, generations=1, replicates=1500)
    for ours, theirs in (
        (theory.real_only_w2_squared(d, n), full.w2_squared),
        (theory.real_only_w2(d, n), full.w2),
    ):
        error = math.hypot(ours.standard_error, theirs.standard_error[0])
        assert abs(ours.mean - theirs.mean[0]) < 4 * error


@pytest.mark.parametrize("d", [1, 2, 10, 100, 256])
def test_the_table_that_is_shipped_agrees_with_new_draws(d):
    curve = real_only.curve(d)
    for place in (0, 3, 40, 80, -1):
        n = int(curve.n[place])
        found = theory.real_only_w2_squared(d, n, rtol=2e-3)  # other draws of the same stream: fewer of them
        error = math.hypot(found.standard_error, real_only.TABLE_RTOL * found.mean)
        assert abs(curve.w2_squared[place] - found.mean) < 4 * error


@pytest.mark.parametrize("d", [1, 5, 100])
def test_the_table_falls_from_2_on(d):
    curve = real_only.curve(d)
    assert curve.n[0] == 2
    assert (np.diff(curve.w2_squared) < 0).all() and (np.diff(curve.w2) < 0).all()


@pytest.mark.parametrize(
    ("d", "n"), [(100, 2), (100, 7), (100, 99), (100, 1234), (100, 10**6), (10, 25), (7, 40)]
)
def test_n_real_samples_are_worth_n(d, n):
    worth = theory.effective_sample_size(theory.real_only_w2_squared(d, n, rtol=2e-4), d)
    assert worth.mean == pytest.approx(n, rel=3e-3)
    by_w2 = theory.effective_sample_size_of_w2(theory.real_only_w2(d, n, rtol=2e-4), d)
    assert by_w2.mean == pytest.approx(n, rel=3e-3)


def test_what_comes_out_is_of_the_kind_that_went_in():
    assert isinstance(theory.effective_sample_size(2.0, 10), float)
    array = theory.effective_sample_size(np.array([2.0, 1.0]), 10)
    assert array.shape == (2,) and array[1] > array[0]
    found = theory.effective_sample_size(Estimate(2.0, 0.02), 10)
    slope = (theory.effective_sample_size(2.001, 10) - theory.effective_sample_size(1.999, 10)) / 0.002
    assert found.standard_error == pytest.approx(abs(slope) * 0.02, rel=1e-2)
    many = theory.effective_sample_size(Estimate(np.array([2.0]), np.array([0.02])), 10)
    assert many.standard_error == pytest.approx([found.standard_error])


def test_beyond_the_table_w2_squared_falls_as_1_over_n():
    last = real_only.curve(100).n[-1]
    # |μ|² gives d/n, the spread of Σ d(d + 1)/(4n).
    exact = (100 + 100 * 101 / 4) / (30 * last)
    assert theory.effective_sample_size(exact, 100) == pytest.approx(30 * last, rel=2e-3)
    assert theory.effective_sample_size_of_w2(math.sqrt(exact), 100) == pytest.approx(30 * last, rel=3e-2)


def test_worse_than_two_samples_is_worth_none_and_perfect_is_worth_any():
    assert math.isnan(theory.effective_sample_size(1000.0, 100))
    assert math.isinf(theory.effective_sample_size(0.0, 100))
    with pytest.raises(ValueError, match="w2_squared: expected 0 or more, got -1"):
        theory.effective_sample_size(-1.0, 100)
    with pytest.raises(ValueError, match="d: expected 1 or more, got 0"):
        theory.effective_sample_size(1.0, 0)
    with pytest.raises(ValueError, match="n: expected 2 or more, got 1"):
        theory.real_only_w2_squared(3, 1)
