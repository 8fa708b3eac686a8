"""The distance of every point to its k-th nearest neighbour in its own set, exactly.

1. A sweep over float32 bounds keeps the few nearest of every point. Every pair is bounded once, for both.
2. The bounds of these few enclose the k-th distance, and D settles it among those that may be the k-th.
3. Where others than these few may be the k-th, sharper bounds against all points are made in float64, and
   D settles all that may be among the k nearest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madray.metrics.distances import CELLS, SIDE, Frame, Index, Placed, Real, pairs, parts, squared_distances
from madray.metrics.features import Features

Counts = NDArray[np.int64]

SPARE = 4
"""How many more than k neighbours the sweep keeps: where these are farther than the k-th, all others are."""

ROWS = 128
"""How many points are bounded against all others at once."""


def squared_radii(points: Features, placed: Placed, copies: Counts, k: int) -> Real:
    """D from each distinct point to its k-th nearest neighbour, where copies count one by one.

    Args:
        points: shape (n, d).
        placed: the same, in float32; no result depends on the frame, but time does.
        copies: how many there are of each point, shape (n,); more than k in all.

    Returns: shape (n,); 0 where a point has more than k copies.

    >>> points = np.array([[0.0], [1.0], [3.0]])
    >>> placed = Frame.around(points).place(points, np.float32)
    >>> squared_radii(points, placed, np.array([1, 1, 2]), k=2)
    array([9., 4., 4.])
    """
    radii = np.zeros(len(points))
    others = k + 1 - copies  # a point's own copies are its first neighbours, at distance 0
    searching = np.flatnonzero(others > 0)
    if not len(searching):
        return radii
    nearest = _Nearest(placed, k + SPARE)
    nearest.meet_within(0, len(points))
    left = []
    for part in parts(0, len(searching), CELLS // 8):
        i = searching[part]
        radii[i], enough = _among_nearest(points, copies, nearest, i, others[i])
        left.append(i[~enough])
    i = np.concatenate(left)
    if len(i):
        radii[i] = _among_all(points, copies, i, others[i], k)
    return radii


class _Nearest:
    """The nearest others of each point, by lower bounds, of those met so far.

    Attributes:
        lower: the bounds, shape (n, width), the largest last; infinite where fewer were met.
        who: whose they are, shape (n, width).
    """

    def __init__(self, placed: Placed, width: int) -> None:
        self.placed, self.width = placed, width
        self.lower = np.full((len(placed), width), np.inf, np.float32)
        self.who = np.zeros((len(placed), width), np.intp)

    def bounds(self, i: Index) -> tuple[Index, Features, Real]:
        """Who is nearest to each i, and lower and upper bounds of D."""
        j, lower = self.who[i], self.lower[i]
        return j, lower, lower + self.placed.slack[i, None] + self.placed.slack[j]

    def meet_within(self, start: int, stop: int) -> None:
        """All points of a range meet: each half by itself first, so that few of the other half are nearer."""
        if stop - start > SIDE // 2:
            middle = (start + stop) // 2
            self.meet_within(start, middle)
            self.meet_within(middle, stop)
            self.meet_between(start, middle, stop)
            return
        placed = self.placed[start:stop]
        lower = placed.lower(placed)
        np.fill_diagonal(lower, np.inf)
        nth = min(self.width, len(lower)) - 1
        i, j = pairs(lower <= np.partition(lower, nth, axis=1)[:, nth, None])
        self._keep(start + i, start + j, lower[i, j])

    def meet_between(self, start: int, middle: int, stop: int) -> None:
        """The two parts of a range meet."""
        for mine in parts(start, middle, SIDE):
            placed = self.placed[mine]
            for theirs in parts(middle, stop, SIDE):
                lower = placed.lower(self.placed[theirs])
                i, j = pairs(lower < self.lower[mine, -1:])
                self._keep(mine.start + i, theirs.start + j, lower[i, j])
                i, j = pairs(lower < self.lower[theirs, -1])
                self._keep(theirs.start + j, mine.start + i, lower[i, j])

    def _keep(self, i: Index, j: Index, lower: Features) -> None:
        """Pairs of a point i and another j, met for the first time: keep the nearest of old and new."""
        if not len(i):
            return
        order = np.argsort(i)
        i, j, lower = i[order], j[order], lower[order]
        points, first, count = np.unique(i, return_index=True, return_counts=True)
        row = np.repeat(np.arange(len(points)), count)
        column = self.width + np.arange(len(i)) - first[row]
        bounds = np.full((len(points), self.width + count.max()), np.inf, np.float32)
        who = np.zeros(bounds.shape, np.intp)
        bounds[:, : self.width], who[:, : self.width] = self.lower[points], self.who[points]
        bounds[row, column], who[row, column] = lower, j
        kept = np.argpartition(bounds, self.width - 1, axis=1)[:, : self.width]
        self.lower[points] = np.take_along_axis(bounds, kept, axis=1)
        self.who[points] = np.take_along_axis(who, kept, axis=1)


def _among_nearest(
    points: Features, copies: Counts, nearest: _Nearest, i: Index, nth: Counts
) -> tuple[Real, NDArray[np.bool_]]:
    """D from each i to its n-th nearest, copies counted, and whether the nearest so far tell it (else 0)."""
    j, lower, upper = nearest.bounds(i)
    least, most = (nth_smallest(bound, copies[j], nth) for bound in (lower, upper))
    enough = lower[:, -1] > most
    before = upper < least[:, None]
    row, column = pairs((~before & (lower <= most[:, None]))[enough])
    nth = nth - np.where(before, copies[j], 0).sum(axis=1)
    found = np.zeros(len(i))
    found[enough] = settled(points, copies, i[enough], nth[enough], row, j[enough][row, column])
    return found, enough


def _among_all(points: Features, copies: Counts, i: Index, nth: Counts, k: int) -> Real:
    """The same from float64 bounds against all: its k nearest others hold the n-th, copies counted."""
    found = np.empty(len(i))
    placed = Frame.around(points).place(points, np.float64)
    last = min(k, len(points) - 1) - 1
    for part in parts(0, len(i), ROWS):
        mine = i[part]
        lower = placed[mine].lower(placed)
        lower[np.arange(len(mine)), mine] = np.inf
        most = np.partition(lower + placed.slack, last, axis=1)[:, last] + placed.slack[mine]
        row, j = pairs(lower <= most[:, None])
        found[part] = settled(points, copies, mine, nth[part], row, j)
    return found


def settled(points: Features, copies: Counts, i: Index, nth: Counts, row: Index, j: Index) -> Real:
    """D from each i to its n-th nearest, copies counted, among the pairs (i[row], j), sorted by row."""
    apart = squared_distances(points, points, i[row], j)
    order = np.lexsort((apart, row))
    counted = np.cumsum(copies[j[order]])
    before = np.append(0, counted)[np.searchsorted(row, np.arange(len(i)))]
    return apart[order][np.searchsorted(counted, before + nth)]


def nth_smallest(values: Features, weights: Counts, n: Counts) -> Features:
    """In each row the smallest value up to which weights add up to n."""
    order = np.argsort(values, axis=1)
    reached = np.take_along_axis(weights, order, axis=1).cumsum(axis=1) >= n[:, None]
    first = np.take_along_axis(order, reached.argmax(axis=1)[:, None], axis=1)
    found: Features = np.take_along_axis(values, first, axis=1)[:, 0]
    return found
