"""First centres of clusters: k-means++, which spreads them by chance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def spread_centres(
    points: Array, count: int, random: np.random.Generator, *, copies: Array | None = None
) -> NDArray[np.intp]:
    """Indices of at most `count` points, none of them equal, that lie far apart.

    The first is any of them. Each next one is the best of 2 + ⌊log count⌋ candidates, drawn with a chance in
    proportion to the squared distance to the centres so far: the one that leaves the least sum of these.
    Distances are sums of squared differences, so those of equal points are exactly 0, and a set of fewer
    different points than `count` gives each of them once.

    Args:
        points: shape (d, n), a row a coordinate.
        copies: how many there are of each point, shape (n,); one without.

    Returns: shape (k,), 1 ≤ k ≤ count.

    Source: Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding"; that the best of
    several candidates is taken is a remark in its section on experiments.

    >>> points = np.array([[0.0, 0.0, 5.0, 5.0, 9.0]])
    >>> sorted(points[0, spread_centres(points, 4, np.random.default_rng(0))].tolist())
    [0.0, 5.0, 9.0]
    """
    counts = np.ones(points.shape[1]) if copies is None else copies
    candidates = 2 + int(math.log(count))
    chosen = [int(counts.cumsum().searchsorted(random.integers(int(counts.sum())), side="right"))]
    apart = _squared_distances(points, chosen)[0]
    while len(chosen) < count:
        reached = (apart if copies is None else apart * copies).cumsum()
        if reached[-1] == 0:  # every point is a centre, or equal to one
            break
        drawn = reached.searchsorted((1 - random.random(candidates)) * reached[-1])  # none of chance 0
        left = _squared_distances(points, drawn)
        np.minimum(left, apart, out=left)
        best = int((left @ counts).argmin())
        chosen.append(int(drawn[best]))
        apart = left[best]
    return np.array(chosen)


def _squared_distances(points: Array, to: NDArray[np.intp] | list[int]) -> Array:
    """From each of some points to all, shape (k, n)."""
    if not len(points):  # all are one
        return np.zeros((len(to), points.shape[1]))
    total = _squared_differences(points[0], to)
    for coordinate in points[1:]:  # one by one: k × n numbers are held at a time, and not d times as many
        total += _squared_differences(coordinate, to)
    return total


def _squared_differences(coordinate: Array, to: NDArray[np.intp] | list[int]) -> Array:
    apart: Array = coordinate - coordinate[to][:, np.newaxis]
    apart *= apart  # in its place: new memory takes longer than the arithmetic
    return apart
