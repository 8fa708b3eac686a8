"""Second moments: closed forms of the Wishart law, Isserlis by hand, simulation, limits."""

import numpy as np
import pytest

from madray import theory
from madray.streams import Stream
from madray.theory import serial
from madray.theory.estimate import Estimate
from madray.theory.loop import Loop
from madray.theory.second_order import beginning, stationary, transition


def test_generation_1_is_the_wishart_law():
    made = theory.second_moments(3, 4, 9, 0.9, n_ini=11, generations=1)
    k = 10
    assert made.trace_squared[0] == pytest.approx(3**2 + 2 * 3 / k)
    assert made.squared_trace[0] == pytest.approx(3 + 3 * 4 / k)
    assert made.norm_fourth[0] == pytest.approx(3 * 5 / 11**2)
    assert made.quadratic_form[0] == pytest.approx(3 / 11)
    assert made.norm_squared_trace[0] == pytest.approx(3 / 11 * 3)


def test_without_synthetic_samples_every_generation_is_the_first():
    made = theory.second_moments(3, 11, 0, 0.9, n_ini=11, generations=3)
    for name in vars(made):
        values = getattr(made, name)
        assert values == pytest.approx(np.full(3, values[0]), rel=1e-12), name


@pytest.mark.parametrize(
    "loop",
    [
        Loop(5, 4, 9, 0.8),
        Loop(5, 1, 9, 0.8),  # no real scatter
        Loop(5, 9, 1, 0.8),  # no synthetic scatter
        Loop(5, 0, 12, 0.8),  # fully synthetic
        Loop(1, 3, 3, 1.0),
        Loop(9, 2, 5, 1.0),  # n − 1 < d
    ],
    ids=str,
)
def test_simulation_agrees(loop):
    # 7 numbers × 4 generations × 6 loops at |z| < 4: a right program fails in 1 of 100 seeds; this one is fixed.
    n_ini, generations, replicates = 4, 4, 8000
    told = np.empty((replicates, generations, 7))
    for replicate in range(replicates):
        chain = serial.chain(loop, n_ini, Stream.of("test second order", replicate).numpy())
        for t, model in zip(range(generations), chain, strict=False):
            mean, covariance = model.mean, model.root @ model.root.T
            u, s, w = mean @ mean, np.trace(covariance), np.vdot(covariance, covariance)
            told[replicate, t] = u, s, u * u, u * s, mean @ covariance @ mean, s * s, w
    found = Estimate.over_replicates(told)
    exact = [beginning(loop.d, m=1 / n_ini, c=1.0, freedom=n_ini - 1)]
    for _ in range(1, generations):
        exact.append(transition(loop) @ exact[-1])
    z = (found.mean - np.array(exact)[:, 1:]) / found.standard_error
    assert abs(z).max() < 4, z.round(1)


def test_the_limit_is_where_the_recursion_ends():
    made = theory.second_moments(5, 10, 40, 0.9, n_ini=7, generations=400)
    found = theory.second_moment_limit(5, 10, 40, 0.9)
    for name in vars(found):
        assert getattr(made, name)[-1] == pytest.approx(getattr(found, name), rel=1e-10), name


def test_the_first_moments_in_them_are_those_of_first_moments():
    loop = Loop(5, 10, 40, 0.9)
    z, found = stationary(loop), theory.moment_limit(5, 10, 40, 0.9)
    assert z[1:3] == pytest.approx([5 * found.m, 5 * found.c], rel=1e-12)


def test_heavy_tails_are_infinite():
    # One real sample a generation beside very many: second moments have no limit, first ones have.
    assert theory.second_moment_limit(5, 1, 10_000, 1.0).squared_trace == np.inf
    assert np.isfinite(theory.moment_limit(5, 1, 10_000, 1.0).c)
