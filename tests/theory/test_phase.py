"""The boundary of admissible amounts of synthetic data: brackets, infinities, the asymptote."""

import math

import pytest

from madray import theory


@pytest.mark.parametrize(("d", "n_r", "bias"), [(100, 60, 0.7), (100, 1000, 0.5), (30, 60, 0.8)])
def test_both_ends_of_the_bracket_are_what_they_say(d, n_r, bias):
    found = theory.boundary(d, n_r, bias, seed=1)
    assert found.low <= found.n_s <= found.high
    assert found.high - found.low <= max(1, 0.02 * found.low)
    assert found.evaluations < 20
    alone = theory.real_only_w2_squared(d, n_r, rtol=2e-4).mean
    # Half a bracket further out other chains see the same sign.
    width = max(2, 0.02 * found.low)
    below = theory.limit(d, n_r, math.floor(found.low - width), bias, rtol=2e-4, seed=2).mean
    above = theory.limit(d, n_r, math.ceil(found.high + width), bias, rtol=2e-4, seed=2).mean
    assert below < alone < above


def test_where_real_samples_alone_are_worse_than_a_point_any_amount_is_admissible():
    for bias in (0.3, 0.6):
        assert theory.boundary(100, 29, bias) == theory.Boundary(math.inf, 1.0, math.inf, 0)
        assert theory.boundary(100, 31, bias, rtol=0.2).n_s < math.inf
    # The argument itself: much synthetic data makes a point of the model, at W2² = d.
    assert theory.limit(100, 29, 10**8, 0.9).mean == pytest.approx(100, rel=0.01)


def test_without_bias_any_amount_is_admissible():
    found = theory.boundary(30, 20, 1.0)
    assert found.n_s == found.high == math.inf
    assert found.low >= 63 * 20
    for n_s in (5, 100, 2000):
        n_e = theory.effective_sample_size(theory.limit(30, 20, n_s, 1.0, rtol=3e-3), 30)
        assert n_e.mean - 4 * n_e.standard_error > 20


def test_for_many_real_samples_the_threshold_is_the_closed_form():
    asymptote = theory.boundary_limit(100, 0.5)
    found = theory.boundary(100, 30_000, 0.5)
    assert found.n_s == pytest.approx(asymptote, rel=0.03)
    assert abs(theory.boundary(100, 300, 0.5).n_s - asymptote) > abs(found.n_s - asymptote)


def test_in_one_dimension_hardly_any_synthetic_sample_may_be_admissible():
    found = theory.boundary(1, 300, 0.01)
    assert 0 <= found.low < found.high <= 12
    assert theory.boundary_limit(1, 0.01) == pytest.approx(4 * (1.99 + 0.5149 / 2) / 0.9801, rel=1e-3)


def test_one_seed_gives_one_answer():
    assert theory.boundary(10, 30, 0.8, seed=5) == theory.boundary(10, 30, 0.8, seed=5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"d": 0}, "d: expected 1 or more, got 0"),
        ({"n_r": 1}, "n_r: expected 2 or more, got 1"),
        ({"bias": 0}, "bias: expected λ in (0, 1], got 0"),
        ({"rtol": 2}, "rtol: expected a number in (0, 1), got 2"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
    ],
)
def test_bad_input_names_the_argument_the_bound_and_the_value(changed, told):
    with pytest.raises(ValueError) as refused:
        theory.boundary(**{"d": 5, "n_r": 9, "bias": 0.5, **changed})
    assert str(refused.value) == told
