"""Squared distances: bounds from products of matrices are bounds, in both dtypes, also where squares vanish."""

from itertools import product

import numpy as np
import pytest

from madray.metrics.distances import Frame, pairs, squared_distances
from madray.streams import Stream


def numbers(*shape: int, role: str = "real") -> np.ndarray:
    return Stream.of(0, role, *shape).numpy().standard_normal(shape)


def assert_bounds(x, dtype, *others) -> None:
    """Lower and upper bounds of D between all of x, against D in long doubles and as settled."""
    n = len(x)
    placed = Frame.around(x, *others).place(x, dtype)
    unit = np.longdouble(placed.frame.scale) ** 2
    lower = placed.lower(placed).astype(np.longdouble)
    upper = lower + placed.slack[:, None] + placed.slack
    true = ((x[:, None].astype(np.longdouble) - x[None]) ** 2).sum(axis=-1)
    i, j = np.divmod(np.arange(n * n), n)
    for exact in (unit * true, unit * squared_distances(x, x, i, j).reshape(n, n)):
        assert (lower <= exact).all()
        assert (exact <= upper).all()


@pytest.mark.parametrize(
    ("dtype", "d", "width"), list(product([np.float32, np.float64], [1, 7, 300], [1.0, 1e-5, 0.0]))
)
def test_bounds_are_bounds(dtype, d, width):
    x = (3 + width * numbers(60, d)).astype(np.float32)
    x[:3] *= 1000
    x[3:6] = 1e-30 * numbers(3, d, role="tiny")
    assert_bounds(x, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_are_bounds_far_from_the_centre_where_all_roundings_add_up(dtype):
    """All products have one sign, and D is a millionth of what cancels."""
    x = 1000 + numbers(40, 2048) ** 2
    assert_bounds(x, dtype, -x)


@pytest.mark.parametrize(("dtype", "exponent"), [(np.float32, -74), (np.float64, -537)])
def test_bounds_are_bounds_where_squares_underflow(dtype, exponent):
    tiny = np.ldexp(numbers(60, 5), exponent)
    assert_bounds(np.concatenate([tiny, -tiny, np.ones((1, 5)), -np.ones((1, 5))]), dtype)


@pytest.mark.parametrize(("dtype", "share"), [(np.float32, 2e-3), (np.float64, 5e-12)])
def test_bounds_are_close(dtype, share):
    """At d = 2,048: so few pairs are left open that the products decide the time."""
    x = numbers(60, 2048)
    placed = Frame.around(x).place(x, dtype)
    lower = placed.lower(placed)
    apart = lower[~np.eye(60, dtype=bool)]
    assert 2 * placed.slack.max() < share * apart.min()


@pytest.mark.parametrize("exponent", [-400, -30, 30, 400])
def test_placed_points_have_at_most_length_1(exponent):
    x, y = np.ldexp(numbers(60, 5), exponent), np.ldexp(3 + numbers(60, 5, role="generated"), exponent + 9)
    frame = Frame.around(x, y)
    for points in (x, y):
        lengths = np.linalg.norm(frame.place(points, np.float32).rows[:, :5], axis=1)
        assert (lengths <= 1).all()
    assert np.linalg.norm(frame.place(y, np.float32).rows[:, :5], axis=1).max() > 0.05


def test_points_that_are_all_equal_are_placed_at_the_centre():
    placed = Frame.around(np.ones((3, 2))).place(np.ones((3, 2)), np.float32)
    assert (placed.rows[:, :2] == 0).all()


def test_pairs_are_those_of_nonzero():
    which = numbers(30, 20) > 0.5
    for matrix in (which, which.T, which[:, :1], which[:0]):
        for found, expected in zip(pairs(matrix), np.nonzero(matrix), strict=True):
            np.testing.assert_array_equal(found, expected)
