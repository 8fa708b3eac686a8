"""Distances to the k-th nearest neighbour: exact, whatever the order of points, the frame and the blocks."""

from itertools import product

import numpy as np
import pytest

from madray.metrics import distances, nearest_neighbours
from madray.metrics.distances import Frame, squared_distances
from madray.metrics.nearest_neighbours import _Nearest, squared_radii
from madray.streams import Stream


def numbers(*shape: int, role: str = "points") -> np.ndarray:
    return Stream.of(0, role, *shape).numpy().standard_normal(shape)


def found(points, copies, k, frame=None) -> np.ndarray:
    frame = Frame.around(points) if frame is None else frame
    return squared_radii(points, frame.place(points, np.float32), copies, k)


def by_definition(points, copies, k) -> np.ndarray:
    """Every copy written out, and D of all pairs."""
    n = len(points)
    i, j = np.divmod(np.arange(n * n), n)
    apart = np.repeat(squared_distances(points, points, i, j).reshape(n, n), copies, axis=1)
    return np.sort(apart, axis=1)[:, k]  # the first is the point itself


def ones(points) -> np.ndarray:
    return np.ones(len(points), np.int64)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (6, 5), (10, 1), (10, 9), (700, 1), (700, 5), (2000, 3)])
def test_radii_are_those_of_the_definition(n, k):
    points = numbers(n, 6)
    np.testing.assert_array_equal(found(points, ones(points), k), by_definition(points, ones(points), k))


@pytest.mark.parametrize(("width", "dtype"), list(product([0.1, 1e-3, 1e-5, 1e-7], [np.float32, np.float64])))
def test_radii_are_exact_within_clusters(width, dtype):
    """Where float32 tells, where float64 has to, and where only D does."""
    points = (np.repeat(numbers(7, 12, role="centres"), 100, axis=0) + width * numbers(700, 12)).astype(dtype)
    np.testing.assert_array_equal(found(points, ones(points), 5), by_definition(points, ones(points), 5))


@pytest.mark.parametrize(("k", "values"), list(product([1, 5, 20], [2, 5, 50])))
def test_copies_count_one_by_one(k, values):
    rng = Stream.of(0, "copies", k, values).numpy()
    points, copies = np.unique(rng.integers(0, values, (600, 3)), axis=0, return_counts=True)
    points = points.astype(np.float32)
    np.testing.assert_array_equal(found(points, copies, k), by_definition(points, copies, k))


def test_a_point_with_more_than_k_copies_has_radius_0():
    points, copies = numbers(50, 4), np.full(50, 3)
    copies[::2] = 4
    radii = found(points, copies, 3)
    assert (radii[::2] == 0).all()
    assert (radii[1::2] > 0).all()


def test_neighbours_in_many_numbers_at_one_distance():
    """Corners of a cube: all at a few distances, so no spare neighbour is farther than the k-th."""
    points = np.array(list(product([0.0, 1.0], repeat=9)))
    for k, radius in [(1, 1), (9, 1), (10, 2), (45, 2), (46, 3)]:
        assert (found(points, ones(points), k) == radius).all()


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_points_does_not_matter(order):
    """On a line outwards the nearest come last; towards its start all that come later are farther."""
    points = (1.01 ** np.arange(900))[::order, None]
    np.testing.assert_array_equal(found(points, ones(points), 5), by_definition(points, ones(points), 5))


@pytest.mark.parametrize("width", [1.0, 1e-4])
def test_the_frame_does_not_matter(width):
    points = 3 + width * numbers(300, 5)
    far = Frame.around(-points, 1e6 * points)
    np.testing.assert_array_equal(found(points, ones(points), 5, far), found(points, ones(points), 5))


def test_blocks_and_spare_neighbours_do_not_matter(monkeypatch):
    points = numbers(500, 4)
    points[:200] = points[0] + 1e-6 * points[:200]
    whole = found(points, ones(points), 5)
    for side, spare, rows in [(2, 0, 1), (9, 1, 7), (100, 30, 100), (10_000, 600, 1000)]:
        monkeypatch.setattr(nearest_neighbours, "SIDE", side)
        monkeypatch.setattr(nearest_neighbours, "SPARE", spare)
        monkeypatch.setattr(nearest_neighbours, "ROWS", rows)
        np.testing.assert_array_equal(found(points, ones(points), 5), whole)


@pytest.mark.parametrize("n", [3, 300, 1500])
def test_the_sweep_keeps_the_nearest_with_the_farthest_last(n):
    placed = Frame.around(points := numbers(n, 6)).place(points, np.float32)
    nearest = _Nearest(placed, 7)
    nearest.meet_within(0, n)
    all_ = placed.lower(placed)
    np.fill_diagonal(all_, np.inf)
    all_ = np.sort(np.hstack([all_, np.full((n, 7), np.inf)]), axis=1)[:, :7]
    np.testing.assert_allclose(np.sort(nearest.lower, axis=1), all_, atol=1e-6)
    np.testing.assert_array_equal(nearest.lower[:, -1], nearest.lower.max(axis=1))


def test_a_pair_is_bounded_once_and_few_are_settled(monkeypatch):
    """Well apart, all is told by products over half of the matrix, and a few pairs are settled."""
    products, settled = [], []

    def lower(self, others):
        products.append(len(self) * len(others))
        return self._left @ others.rows.T

    def settle(x, y, i, j):
        settled.append(len(i))
        return squared_distances(x, y, i, j)

    monkeypatch.setattr(distances.Placed, "lower", lower)
    monkeypatch.setattr(nearest_neighbours, "squared_distances", settle)
    points = numbers(4000, 20)
    found(points, ones(points), 5)
    assert sum(products) < 0.55 * 4000**2
    assert sum(settled) < 1.1 * 4000
