"""Precision and recall by balls around nearest neighbours, decided exactly.

Fast products of matrices bound distances, and whatever the bounds leave open is decided by D(x, y) =
Σ (x_i - y_i)², summed in float64 from the differences. The result is that of D alone: it does not depend on
the BLAS, its threads, or the sizes of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from madray.metrics import trees
from madray.metrics.distances import SIDE, Frame, Index, Placed, Real, pairs, parts, squared_distances
from madray.metrics.evidence import Evidence
from madray.metrics.features import Features, feature_matrix
from madray.metrics.nearest_neighbours import Counts, squared_radii
from madray.metrics.trees import DIMENSIONS

if TYPE_CHECKING:
    from madray.spec import metrics as spec

FEW = 4
"""Up to how many pairs a point D settles at once; where more are left open, sharper bounds come first."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Both are shares, in [0, 1].

    Attributes:
        precision: of generated samples that lie within a ball of the real ones (quality).
        recall: of real samples that lie within a ball of the generated ones (diversity).
    """

    precision: float
    recall: float


def precision_recall(*, real: Features, generated: Features, k: int = 5) -> PrecisionRecall:
    """Precision and recall of generated features against real ones.

        precision = share of generated g with |g - r| < ρ_k(r) for at least one real r
        recall    = share of real r with |r - g| < ρ_k(g) for at least one generated g

    where ρ_k(x) is the distance of x to its k-th nearest neighbour in its own set, itself excluded by
    its index: equal samples are neighbours at distance 0. A tie is outside, as in the package `prdc`
    (NVIDIA's own code counts it as inside), so a ball of radius 0 holds nothing, and a model that only
    repeats k + 1 or more times each of a few samples has a recall of exactly 0.

    Args:
        real: features of shape (n_r, d), any floating dtype.
        generated: features of shape (n_g, d).
        k: which nearest neighbour bounds a ball; the paper says 5.

    Returns: the two shares. Memory is a few times that of the features, never n × n.

    Raises: ValueError, if the features are no finite matrices with the same d, or if k is not in
        [1, n) for either.

    Source: Kynkäänniemi et al. 2019 (arXiv:1904.06991), eqs. 1 and 2.

    Four real samples on a line, one apart: every ball has radius 1. Of the generated samples one
    lies between real ones, two lie far out; their balls reach all real samples but the first.

    >>> real = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> generated = np.array([[2.5], [4.5], [6.5]])
    >>> precision_recall(real=real, generated=generated, k=1)
    PrecisionRecall(precision=0.3333333333333333, recall=0.75)
    """
    return _compared(_Balls.around("real", real, k), _Balls.around("generated", generated, k))


def measure_precision_recall(settings: spec.PrecisionRecall, evidence: Evidence) -> dict[str, float]:
    """Precision and recall of the generation's features against the real side's."""
    features, real = evidence.both_sides()
    k = settings.k
    reals = real.once(("balls", k), lambda: _Balls.around("real", real.features, k))
    found = _compared(reals, _Balls.around("generated", features, k))
    return {"precision": found.precision, "recall": found.recall}


@dataclass(frozen=True)
class _Balls:
    """Around each distinct point of one side, as far as its k-th nearest neighbour.

    Attributes:
        points: shape (n, d).
        copies: how many there are of each, shape (n,).
        squared_radii: shape (n,).
    """

    points: Features
    copies: Counts
    squared_radii: Real

    @staticmethod
    def around(name: str, features: Features, k: int) -> _Balls:
        """Of the features; `name` says for the messages which they are."""
        points, copies = _distinct(_checked(name, features, k))
        if points.shape[1] <= DIMENSIONS:
            return _Balls(points, copies, trees.squared_radii(points, copies, k))
        placed = Frame.around(points).place(points, np.float32)
        return _Balls(points, copies, squared_radii(points, placed, copies, k))

    def share(self, inside: NDArray[np.bool_]) -> float:
        """Of all features, those whose point is inside."""
        return float(self.copies[inside].sum() / self.copies.sum())


def _compared(real: _Balls, generated: _Balls) -> PrecisionRecall:
    x, y = real.points, generated.points
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"expected real and generated features of the same d, got {x.shape[1]} and {y.shape[1]}, "
            "try the same extractor for both"
        )
    find = trees.inside_balls if x.shape[1] <= DIMENSIONS else _inside_balls
    inside_x, inside_y = find(x, real.squared_radii, y, generated.squared_radii)
    return PrecisionRecall(precision=generated.share(inside_y), recall=real.share(inside_x))


def _inside_balls(
    x: Features, squared_radii_x: Real, y: Features, squared_radii_y: Real
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which points of each side lie in a ball of the other, by products of matrices."""
    frame = Frame.around(x, y)
    r = _Side.of(x, frame.place(x, np.float32), squared_radii_x)
    g = _Side.of(y, frame.place(y, np.float32), squared_radii_y)
    _find_inside(r, g)
    return r.inside, g.inside


def _checked(name: str, features: Features, k: int) -> Features:
    features = feature_matrix(f"{name} features", features)
    if not 1 <= k < len(features):
        raise ValueError(
            f"expected k from 1 to below the number of {name} samples ({len(features)}), got k = {k}, "
            "try a smaller k or more samples"
        )
    return features


def _distinct(features: Features) -> tuple[Features, Counts]:
    """The rows that differ in a bit, and how many copies there are of each: collapse makes many.

    Copies add up to the same sum, so most rows need no look at their bits.
    """
    _, group, sharing = np.unique(
        features.sum(axis=1, dtype=np.float64), return_inverse=True, return_counts=True
    )
    alone = sharing[group] == 1
    if alone.all():
        return features, np.ones(len(features), np.int64)
    row_bytes = np.dtype((np.void, features.itemsize * features.shape[1]))
    others = features[~alone]
    _, first, copies = np.unique(others.view(row_bytes).ravel(), return_index=True, return_counts=True)
    points = np.concatenate([features[alone], others[first]])
    return points, np.concatenate([np.ones(alone.sum(), np.int64), copies])


@dataclass(frozen=True)
class _Side:
    """The distinct points of one side and their balls.

    Attributes:
        placed: the points in a frame that both sides share.
        squared_radii: shape (n,).
        limits: the squared radii in the squared unit of that frame.
        inside: which points were found in a ball of the other side, shape (n,).
    """

    points: Features
    placed: Placed
    squared_radii: Real
    limits: Real
    inside: NDArray[np.bool_]

    @staticmethod
    def of(points: Features, placed: Placed, squared_radii: Real) -> _Side:
        limits = squared_radii * placed.frame.scale**2
        return _Side(points, placed, squared_radii, limits, np.zeros(len(points), np.bool_))

    def outside(self, block: slice) -> Index:
        """Those of a block that were found in no ball yet."""
        outside: Index = block.start + np.flatnonzero(~self.inside[block])
        return outside

    def sharp(self, which: Index) -> Placed:
        """Some of the points, for products in float64."""
        return self.placed.frame.place(self.points[which], np.float64)


def _find_inside(r: _Side, g: _Side) -> None:
    """Mark the points of each side that lie in a ball of the other. One block of bounds tells both."""
    for rows in parts(0, len(r.points), SIDE):
        x, all_i = r.placed[rows], np.arange(rows.start, rows.stop)
        for columns in parts(0, len(g.points), SIDE):
            y, all_j = g.placed[columns], np.arange(columns.start, columns.stop)
            i, j = r.outside(rows), g.outside(columns)
            if 2 * (len(i) * len(y) + len(x) * len(j)) > len(x) * len(y):
                lower = x.lower(y)
                _mark(r, all_i, g, all_j, lower)
                _mark(g, all_j, r, all_i, lower.T)
            else:
                if len(i):
                    _mark(r, i, g, all_j, r.placed[i].lower(y))
                if len(j):
                    _mark(g, j, r, all_i, g.placed[j].lower(x))


def _mark(inner: _Side, i: Index, outer: _Side, j: Index, lower: Features) -> None:
    """Mark those of inner's points i that lie in a ball around one of outer's points j."""
    limits = outer.limits[j]
    near = limits.astype(lower.dtype)
    possible = (lower < near).any(axis=1) & ~inner.inside[i]
    if not possible.any():
        return
    i, beyond = i[possible], lower[possible] - near
    surely = beyond.min(axis=1) + inner.placed.slack[i] + outer.placed.slack[j].max() < 0
    inner.inside[i[surely]] = True
    i = i[~surely]
    row, column = pairs(beyond[~surely] < 0)
    if len(row) > FEW * len(i):
        row, column = pairs(inner.sharp(i).lower(outer.sharp(j)) < limits)
    i, j = i[row], j[column]
    inner.inside[i[squared_distances(inner.points, outer.points, i, j) < outer.squared_radii[j]]] = True
