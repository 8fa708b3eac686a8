"""Squared distances between features: D pair by pair, and bounds of D from fast products of matrices.

Collapse makes neighbours that are nearly or wholly equal, and there |x|² + |y|² - 2xy has no digits left.
So D(x, y) = Σ (x_i - y_i)², summed in float64 from the differences, is what counts, and products of
matrices only tell of which pairs D is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madray.metrics.features import Features

Index = NDArray[np.intp]
Real = NDArray[np.float64]

SIDE = 640
"""How many rows and columns a block of bounds has: large for the product, small enough for a cache."""

CELLS = 2**17
"""How many coordinates are worked on at once."""


def squared_distances(x: Features, y: Features, i: Index, j: Index) -> Real:
    """D(x_i, y_j) of each pair, shape (pairs,). Symmetric, and 0 between equal points.

    >>> squared_distances(np.zeros((1, 2)), np.array([[3.0, 4.0]]), np.array([0]), np.array([0]))
    array([25.])
    """
    found = np.empty(len(i))
    for part in parts(0, len(i), max(1, CELLS // x.shape[1])):
        apart = x[i[part]].astype(np.float64) - y[j[part]]
        found[part] = np.einsum("nd,nd->n", apart, apart)
    return found


@dataclass(frozen=True)
class Frame:
    """Where points are placed for products: the shorter the vectors, the closer the bounds.

    Attributes:
        centre: the origin, shape (d,).
        scale: a power of 2, so that nothing but the unit changes; placed points have at most length 1.
    """

    centre: Real
    scale: float

    @staticmethod
    def around(points: Features, *others: Features) -> Frame:
        """Centred at the points' mean, and wide enough for the others too."""
        centre = points.mean(axis=0, dtype=np.float64)
        edges = [(float(side.max()), float(side.min())) for side in (points, *others)]
        farthest = max(max(high - centre.min(), centre.max() - low) for high, low in edges)
        return Frame(centre, float(np.ldexp(1.0, -int(np.frexp(farthest * np.sqrt(centre.size))[1]))))

    def place(self, points: Features, dtype: type[np.floating[Any]]) -> Placed:
        """The points in this frame, rounded to the dtype that products are to be made in."""
        n, d = points.shape
        rows, squares = np.empty((n, d + 2), dtype), np.empty(n)
        for part in parts(0, n, max(1, CELLS // d)):
            placed = points[part].astype(np.float64)
            placed -= self.centre
            placed *= self.scale
            rows[part, :d], squares[part] = placed, np.einsum("nd,nd->n", placed, placed)
        u, epsilon = (float(np.finfo(kind).eps) / 2 for kind in (dtype, np.float64))
        roundings = (d + 16) * (2 * u + 4 * epsilon)
        gamma = roundings / (1 - roundings)
        underflow = 2 * (d + 16) * float(np.finfo(dtype).tiny)
        rows[:, d], rows[:, d + 1] = (1 - gamma) * squares - underflow, 1
        return Placed(self, rows, 2.5 * gamma * squares + 4 * underflow)


@dataclass(frozen=True)
class Placed:
    """Points in a frame, ready for products that bound D, in the squared unit of the frame:

        lower(x, y) ≤ D(x, y) ≤ lower(x, y) + slack(x) + slack(y)

    `lower` is |x|² + |y|² - 2xy as one sum of d + 2 products, with γ (|x|² + |y|²) taken off the squares
    beforehand. Summed in any order, with u the unit roundoff of the dtype and ε that of float64, the products
    are off by at most 2 (d + 16) u (|x|² + |y|²) to first order (Higham 2002, ch. 3; the 16 have room for the
    roundings of x, y, their squares, and what the bounds are compared with), and the squares and D itself by
    4 (d + 16) ε (|x|² + |y|²). So γ = t / (1 - t) with t = (d + 16) (2u + 4ε), which needs a d below 8
    million. The smallest normal number, 2 (d + 16) times, stands for what underflows.

    Attributes:
        rows: x, its lowered square, and 1, shape (n, d + 2).
        slack: shape (n,).
    """

    frame: Frame
    rows: Features
    slack: Real

    def __getitem__(self, which: slice | Index) -> Placed:
        return Placed(self.frame, self.rows[which], self.slack[which])

    def __len__(self) -> int:
        return len(self.rows)

    def lower(self, others: Placed) -> Features:
        """Lower bounds of D between each of these and each of the others, shape (these, others)."""
        found: Features = self._left @ others.rows.T
        return found

    @cached_property
    def _left(self) -> Features:
        """-2x, 1, and the lowered square."""
        left = -2 * self.rows
        left[:, -2:] = self.rows[:, :-3:-1]
        return left


def parts(start: int, stop: int, size: int) -> Iterator[slice]:
    """A range in slices of at most a size."""
    return (slice(begin, min(begin + size, stop)) for begin in range(start, stop, size))


def pairs(which: NDArray[np.bool_]) -> tuple[Index, Index]:
    """Rows and columns of what is true in a matrix, by rows: `np.nonzero`, but fast where that is rare."""
    row, column = np.divmod(np.flatnonzero(which), which.shape[1])
    return row, column
