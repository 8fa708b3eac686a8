"""The same balls in one, two or three dimensions, by trees of points: work that grows as n log n.

A tree's own distances only choose pairs, with a margin for their rounding; D decides. There a point lies in
no more than some twenty k balls around k-th nearest neighbours, however the samples are spread, so pairs are
few; in more dimensions neither trees nor this bound are of use.
"""

from __future__ import annotations

from itertools import chain
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
    x: Features, squared_radii_x: Real, y: Features, squared_radii_y: Real
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which points of each side lie strictly inside a ball around one of the other, shape (n,) each.

    Args:
        x, y: points of either side, shape (n, d) with d of at most `DIMENSIONS`.
        squared_radii_x, squared_radii_y: of their balls, shape (n,).

    >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[2.5], [4.5], [6.5]])
    >>> inside_balls(x, np.full(4, 1.0), y, np.full(3, 4.0))
    (array([False,  True,  True,  True]), array([ True, False, False]))
    """
    return _inside(x, y, squared_radii_y), _inside(y, x, squared_radii_x)


def squared_radii(points: Features, copies: Counts, k: int) -> Real:
    """D from each distinct point to its k-th nearest neighbour, where copies count one by one, shape (n,).

    Args:
        points: shape (n, d) with d of at most `DIMENSIONS`.
        copies: how many there are of each; more than k in all.

    >>> squared_radii(np.array([[0.0], [1.0], [3.0]]), np.array([1, 1, 2]), k=2)
    array([9., 4., 4.])
    """
    n, tree = len(points), _tree(points)
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
        if len(i):
            row, j = _within(tree, points[i], radii[i])
            other = j != i[row]
            radii[i] = settled(points, copies, i, nth[i], row[other], j[other])
    return radii


def _inside(x: Features, y: Features, squared_radii: Real) -> NDArray[np.bool_]:
    """Which x lie strictly inside a ball around a y: most in that of the nearest, if in any."""
    _, j = _tree(y).query(x)
    inside: NDArray[np.bool_] = squared_distances(x, y, np.arange(len(x)), j) < squared_radii[j]
    others, balls = np.flatnonzero(~inside), np.flatnonzero(squared_radii)
    if len(others):
        ball, i = _within(_tree(x[others]), y[balls], squared_radii[balls])
        i, j = others[i], balls[ball]
        inside[i[squared_distances(x, y, i, j) < squared_radii[j]]] = True
    return inside


def _tree(points: Features) -> KDTree:
    from scipy.spatial import KDTree

    return KDTree(points)


def _within(tree: KDTree, centres: Features, squared_radii: Real) -> tuple[Index, Index]:
    """Pairs of a centre, in order, and a point of the tree that may lie in the ball around it."""
    found = tree.query_ball_point(centres, np.sqrt(squared_radii) * (1 + MARGIN) + SMALL)
    ball = np.repeat(np.arange(len(centres)), [len(each) for each in found])
    point = np.fromiter(chain.from_iterable(found), np.intp)
    return ball, point
