"""Balls in few dimensions by trees: exact, with ties, copies and collapse."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from madray.metrics.distances import squared_distances
from madray.metrics.trees import DIMENSIONS, inside_balls, squared_radii
from madray.streams import Stream


def spread(kind: str, n: int, d: int, role: str) -> np.ndarray:
    """Different points of some kind, float32."""
    numbers = Stream.of("trees", kind, n, d, role).numpy()
    match kind:
        case "clusters":
            values = numbers.integers(0, 2, (n, d)) * 4 + 1e-7 * numbers.normal(size=(n, d))
        case "lattice":
            values = numbers.integers(0, 6, (n, d))
        case "far strays":
            values = numbers.normal(size=(n, d)) * np.where(numbers.random((n, 1)) < 0.9, 1e-6, 1)
        case "last digits":
            values = 1 + numbers.integers(0, 9, (n, d)) * np.spacing(np.float32(1))
        case _:
            values = numbers.normal(size=(n, d))
    return np.unique(values.astype(np.float32), axis=0)


def all_pairs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    i, j = np.divmod(np.arange(len(x) * len(y)), len(y))
    return squared_distances(x, y, i, j).reshape(len(x), len(y))


def by_definition(points: np.ndarray, copies: np.ndarray, k: int) -> np.ndarray:
    """Every copy written out, and D of all pairs."""
    apart = np.repeat(all_pairs(points, points), copies, axis=1)
    return np.sort(apart, axis=1)[:, k]  # the first is the point itself


KINDS = ["clusters", "lattice", "far strays", "last digits", "normal"]


@pytest.mark.parametrize(("kind", "d", "k"), list(product(KINDS, range(1, DIMENSIONS + 1), [1, 5])))
def test_radii_and_what_lies_inside_are_those_of_the_definition(kind: str, d: int, k: int) -> None:
    x, y = spread(kind, 300, d, "x"), spread(kind, 200, d, "y")
    copies = [Stream.of("copies", d).numpy().integers(1, 4, len(points)) for points in (x, y)]
    radii = [by_definition(points, many, k) for points, many in zip((x, y), copies, strict=True)]
    for points, many, expected in zip((x, y), copies, radii, strict=True):
        np.testing.assert_array_equal(squared_radii(points, many, k), expected)
    inside_x, inside_y = inside_balls(x, radii[0], y, radii[1])
    across = all_pairs(x, y)
    np.testing.assert_array_equal(inside_x, (across < radii[1]).any(axis=1))
    np.testing.assert_array_equal(inside_y, (across < radii[0][:, None]).any(axis=0))


def test_balls_that_hold_nothing_are_no_trouble() -> None:
    x, y = np.zeros((1, 2), np.float32), np.ones((2, 2), np.float32) * [[1], [2]]
    none = inside_balls(x, np.zeros(1), y.astype(np.float32), np.zeros(2))
    assert [found.tolist() for found in none] == [[False], [False, False]]


def test_zeros_of_both_signs_are_at_the_same_place() -> None:
    points = np.array([[0.0, 0.0], [-0.0, 0.0], [0.0, -0.0], [3.0, 4.0]], np.float32)
    radii = squared_radii(points, np.ones(4, np.int64), 3)
    assert radii.tolist() == [25.0, 25.0, 25.0, 25.0]
