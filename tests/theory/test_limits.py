"""The limit: equal to long simulations, as precise as asked, made so by its control variates."""

import math

import numpy as np
import pytest

from madray import theory
from madray.theory.limits import LimitRun
from madray.theory.loop import Loop


@pytest.mark.parametrize(
    ("loop", "generations"),
    [
        (Loop(10, 20, 60, 0.8), 60),
        (Loop(10, 4, 12, 1.0), 60),
        (Loop(30, 10, 20, 0.5), 30),
        (Loop(5, 10, 20, 1.0, memory=3), 80),
        (Loop(5, 10, 20, 0.7, memory=2, split="equal"), 60),
    ],
    ids=str,
)
def test_it_is_where_long_chains_end(loop, generations):
    made = theory.simulate(
        loop.d,
        loop.n_r,
        loop.n_s,
        loop.bias,
        n_ini=100,
        memory=loop.memory,
        split=loop.split,
        generations=generations,
        replicates=1500,
    )
    found = theory.limit(
        loop.d, loop.n_r, loop.n_s, loop.bias, memory=loop.memory, split=loop.split, rtol=3e-3
    )
    error = math.hypot(found.standard_error, made.w2_squared.standard_error[-1])
    assert abs(found.mean - made.w2_squared.mean[-1]) < 4 * error


def test_its_standard_error_is_as_small_as_asked_and_true():
    # The spread over seeds, in units of the standard errors they claim: √(χ²_23/23) lies in (0.58, 1.42) for all but
    # one program in 1,000.
    found = [theory.limit(20, 15, 40, 0.9, rtol=3e-3, seed=seed) for seed in range(24)]
    means = np.array([each.mean for each in found])
    errors = np.array([each.standard_error for each in found])
    assert (errors <= 3e-3 * means).all()
    assert 0.58 < means.std(ddof=1) / np.sqrt(np.mean(errors**2)) < 1.42


def test_without_synthetic_samples_it_is_that_of_real_ones():
    assert theory.limit(10, 50, 0, 0.5, rtol=1e-3) == theory.real_only_w2_squared(10, 50, rtol=1e-3)


def test_one_seed_gives_one_answer():
    assert theory.limit(10, 8, 9, 0.9, rtol=0.02, seed=3) == theory.limit(10, 8, 9, 0.9, rtol=0.02, seed=3)
    assert theory.limit(10, 8, 9, 0.9, rtol=0.02, seed=4) != theory.limit(10, 8, 9, 0.9, rtol=0.02, seed=3)


@pytest.mark.parametrize(("n_r", "n_s", "bias", "fold"), [(100, 900, 1.0, 15), (1000, 10_000, 0.95, 100)])
def test_control_variates_cut_the_variance(n_r, n_s, bias, fold):
    ratios = []
    for seed in range(4):
        run = LimitRun(Loop(100, n_r, n_s, bias), rtol=1e-3, seed=seed)
        run.look(24)
        ratios.append((run.plain().standard_error / run.estimate().standard_error) ** 2)
    assert np.mean(ratios) > fold


def test_heavy_tails_are_no_error():
    # With one real sample a generation tr Σ² has no mean; E W2² has.
    found = theory.limit(3, 1, 40, 1.0, rtol=0.05)
    made = theory.simulate(3, 1, 40, 1.0, n_ini=10, generations=600, replicates=1024)
    error = math.hypot(found.standard_error, made.w2_squared.standard_error[-1])
    assert abs(found.mean - made.w2_squared.mean[-1]) < 4 * error


def test_with_large_sets_and_bias_it_is_the_floor():
    found = theory.limit(100, 500_000_000, 500_000_000, 0.9)
    assert found.mean == pytest.approx(theory.bias_floor(100, 0.5, 0.9), rel=2e-3)
    assert theory.bias_floor(100, 0.5, 1.0) == 0 == theory.bias_floor(100, 1.0, 0.5)
    with pytest.raises(ValueError, match=r"p: expected a share in \(0, 1\], got 0"):
        theory.bias_floor(100, 0, 0.5)
