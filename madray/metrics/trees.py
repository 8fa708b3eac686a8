"""The same balls in one, two or three dimensions, by trees of points: work that grows as n log n.

A tree's own distances only choose pairs, with a margin for their rounding; D decides. There a point lies in
no more than some twenty k balls around k-th nearest neighbours, however the samples are spread, so pairs are
few; in more dimensions neither trees nor this bound are of use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from madray.metrics.distances import Index, Real, squared_distances
from madray.metrics.features import Features
from madray.metrics.nearest_neighbours import Counts, nth_smallest, settled

if TYPE_CHECKING:
    from scipy.spatial import KDTree

DIMENSIONS = 3
"""Up to how many trees are used."""

SPARE = 2
"""How many more than k neighbours are looked up: where the last is farther than the k-th, all others are."""

MARGIN = 1e-12
"""Relative; the rounding of a distance is some 10⁻¹⁵ of it."""

SMALL = 1e-150
"""Distances below which squares have lost digits."""


def inside_balls(
    x: Features, copies_x: Counts, y: Features, copies_y: Counts, k: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which points of each side lie in a ball of the other, shape (n,) each.

    Args:
        x, y: distinct points of either side, shape (n, d) with d of at most `DIMENSIONS`.
        copies_x, copies_y: how many there are of each; more than k in all.
        k: which nearest neighbour bounds a ball.

    >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[2.5], [4.5], [6.5]])
    >>> inside_balls(x, np.ones(4, int), y, np.ones(3, int), k=1)
    (array([False,  True,  True,  True]), array([ True, False, False]))
    """
    from scipy.spatial import KDTree

    tree_x, tree_y = KDTree(x), KDTree(y)
    radii_x = squared_radii(x, tree_x, copies_x, k)
    radii_y = squared_radii(y, tree_y, copies_y, k)
    return _inside(x, tree_x, y, radii_y), _inside(y, tree_y, x, radii_x)


def squared_radii(points: Features, tree: KDTree, copies: Counts, k: int) -> Real:
    """D from each distinct point to its k-th nearest neighbour, where copies count one by one, shape (n,).

    >>> from scipy.spatial import KDTree
    >>> points = np.array([[0.0], [1.0], [3.0]])
    >>> squared_radii(points, KDTree(points), np.array([1, 1, 2]), k=2)
    array([9., 4., 4.])
    """
    n = len(points)
    radii = np.zeros(n)
    nth = k + 1 - copies  # a point's own copies are its first neighbours, at distance 0
    i = np.flatnonzero(nth > 0)
    width = min(k + 1 + SPARE, n)
    distance, j = tree.query(points[i], np.arange(1, width + 1))
    apart = squared_distances(points, points, np.repeat(i, width), j.ravel()).reshape(j.shape)
    radii[i] = nth_smallest(apart, np.where(j == i[:, np.newaxis], 0, copies[j]), nth[i])
    if width < n:
        told = radii[i] < np.square(distance[:, -1]) * (1 - MARGIN) - SMALL**2
        i = i[~told]  # others may be as near, or nearer by less than the rounding
        row, j = _within(tree, points[i], radii[i])
        other = j != i[row]
        radii[i] = settled(points, copies, i, nth[i], row[other], j[other])
    return radii


def _inside(x: Features, tree: KDTree, y: Features, squared_radii: Real) -> NDArray[np.bool_]:
    """Which x, of which there is a tree, lie strictly inside a ball around a y."""
    inside = np.zeros(len(x), np.bool_)
    balls = np.flatnonzero(squared_radii)
    ball, i = _within(tree, y[balls], squared_radii[balls])
    j = balls[ball]
    inside[i[squared_distances(x, y, i, j) < squared_radii[j]]] = True
    return inside


def _within(tree: KDTree, centres: Features, squared_radii: Real) -> tuple[Index, Index]:
    """Pairs of a centre, in order, and a point of the tree that may lie in the ball around it."""
    found = tree.query_ball_point(centres, np.sqrt(squared_radii) * (1 + MARGIN) + SMALL)
    ball = np.repeat(np.arange(len(centres)), [len(each) for each in found])
    point = np.concatenate([*found, []]).astype(np.intp)
    return ball, point
