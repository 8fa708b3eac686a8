"""Precision and recall by balls around nearest neighbours, decided exactly.

Collapse makes neighbours that are nearly or wholly equal, and there |x|² + |y|² - 2xy has no digits
left. So a fast product of matrices only bounds distances from below, and whatever the bound leaves open
is decided by D(x, y) = Σ (x_i - y_i)², summed in float64 from the differences. The result is that of D
alone: it does not depend on the BLAS, its threads, or the sizes of chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from madray.metrics.evidence import Evidence
from madray.metrics.features import Features, feature_matrix

if TYPE_CHECKING:
    from madray.spec import metrics as spec

Index = NDArray[np.intp]

CELLS = 2**20
"""How many distances, or coordinates of differences, are held at once: about what a cache takes."""


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

    Returns: the two shares. Memory is that of the features plus a few chunks, never n × n.

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
    real, generated = _checked("real", real, k), _checked("generated", generated, k)
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"expected real and generated features of the same d, got {real.shape[1]} and "
            f"{generated.shape[1]}, try the same extractor for both"
        )
    sides = _distinct(real), _distinct(generated)
    balls = [_squared_radii(points, copies, k) for points, copies in sides]
    (r, copies_r), (g, copies_g) = sides
    return PrecisionRecall(
        precision=float(copies_g[_inside_any(g, r, balls[0])].sum() / len(generated)),
        recall=float(copies_r[_inside_any(r, g, balls[1])].sum() / len(real)),
    )


def measure_precision_recall(settings: spec.PrecisionRecall, evidence: Evidence) -> dict[str, float]:
    """Precision and recall of the generation's features against the real side's."""
    features, real = evidence.both_sides()
    found = precision_recall(real=real.features, generated=features, k=settings.k)
    return {"precision": found.precision, "recall": found.recall}


def _checked(name: str, features: Features, k: int) -> Features:
    features = feature_matrix(f"{name} features", features)
    if not 1 <= k < len(features):
        raise ValueError(
            f"expected k from 1 to below the number of {name} samples ({len(features)}), got k = {k}, "
            "try a smaller k or more samples"
        )
    return features


def _distinct(features: Features) -> tuple[Features, NDArray[np.int64]]:
    """The rows that differ in a bit, and how many copies there are of each: collapse makes many."""
    row_bytes = np.dtype((np.void, features.itemsize * features.shape[1]))
    rows = features.view(row_bytes).ravel()
    _, first, copies = np.unique(rows, return_index=True, return_counts=True)
    return features[first], copies.astype(np.int64)


def _squared_radii(points: Features, copies: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """D from each distinct point to its k-th nearest neighbour, where copies count one by one."""
    n = len(points)
    radii = np.zeros(n)
    others = k + 1 - copies  # a point's own copies are its first neighbours, at distance 0
    searching = np.flatnonzero(others > 0)
    bounds = [_LowerBounds(points, points, dtype) for dtype in (np.float32, np.float64)]
    for part in _parts(len(searching), max(128, CELLS // n)):
        i = searching[part]
        row, j = _neighbours(bounds, i, k)
        apart = _squared_distances(points, points, i[row], j)
        order = np.lexsort((apart, row))
        counted = np.cumsum(copies[j[order]])
        before = np.append(0, counted)[np.searchsorted(row, np.arange(len(i)))]
        radii[i] = apart[order][np.searchsorted(counted, before + others[i])]
    return radii


def _neighbours(bounds: list[_LowerBounds], i: Index, k: int) -> tuple[Index, Index]:
    """Pairs (position in i, j), sorted, with the k nearest other points of each i, ties, and few more."""
    n = len(bounds[0].y)
    nth = min(k, n - 1) - 1
    for bound in bounds:
        lower = bound.left(i) @ bound.right.T
        lower[np.arange(len(i)), i] = np.inf
        at_most = np.partition(lower, nth, axis=1)[:, nth] + bound.slack[i]
        pairs = np.flatnonzero(lower <= at_most[:, None])
        if len(pairs) <= len(i) * (4 * k + n // 64):
            break
    row, j = np.divmod(pairs, n)
    return row, j


def _inside_any(x: Features, y: Features, squared_radii: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which x lie strictly inside the ball around at least one y."""
    inside = np.zeros(len(x), np.bool_)
    large_first = np.argsort(-squared_radii, kind="stable")[: np.count_nonzero(squared_radii)]
    y, squared_radii = y[large_first], squared_radii[large_first]
    if not len(y):
        return inside
    bounds = _LowerBounds(x, y, np.float32, squared_radii)
    sharper = _LowerBounds(x, y, np.float64, squared_radii)

    def settle(i: Index, j: Index) -> None:
        inside[i[_squared_distances(x, y, i, j) < squared_radii[j]]] = True

    side = int(CELLS**0.5)
    for rows in _parts(len(x), side):
        i = np.arange(rows.start, rows.stop)
        left = bounds.left(i)
        for columns in _parts(len(y), side):
            lower = left @ bounds.right[columns].T
            best = lower.argmin(axis=1)
            undecided = lower[np.arange(len(i)), best] < 0
            settle(i[undecided], columns.start + best[undecided])
            close = i[undecided & ~inside[i]]
            if len(close):  # not in the likeliest ball, but perhaps in another within the rounding
                lower = sharper.left(close) @ sharper.right[columns].T
                row, column = np.divmod(np.flatnonzero(lower < 0), lower.shape[1])
                settle(close[row], columns.start + column)
            i, left = i[~inside[i]], left[~inside[i]]
            if not len(i):
                break
    return inside


def _squared_distances(x: Features, y: Features, i: Index, j: Index) -> NDArray[np.float64]:
    """D(x_i, y_j) pair by pair: what counts. Symmetric, and 0 between equal samples."""
    found = np.empty(len(i))
    for part in _parts(len(i), max(1, CELLS // x.shape[1])):
        apart = x[i[part]].astype(np.float64) - y[j[part]]
        found[part] = np.einsum("nd,nd->n", apart, apart)
    return found


class _LowerBounds:
    """Lower bounds of D(x, y) - less(y), in units of their own: `left(i) @ right.T` is the matrix of them.

    With u the unit roundoff of the dtype, |x|² + |y|² - 2xy as one sum of d + 2 products differs from D
    by at most γ (|x|² + |y|²), γ = 2nu / (1 - nu), n = d + 16 (Higham 2002, ch. 3, and room for the
    roundings of x, y and their squares). This much is taken off the squares beforehand.

    Centred and scaled by a power of 2, nothing is larger than 1; `tiny` stands for what underflows.
    """

    def __init__(
        self, x: Features, y: Features, dtype: type[np.floating[Any]], less: Features | None = None
    ) -> None:
        self.x, self.y, self.dtype = x, y, dtype
        self.less = np.zeros(len(y)) if less is None else less
        self.centre = y.mean(axis=0, dtype=np.float64)
        box = [np.abs(edge - self.centre) for side in (x, y) for edge in (side.min(0), side.max(0))]
        self.scale = np.ldexp(1.0, -int(np.frexp(np.linalg.norm(np.max(box, axis=0)))[1]))
        roundings = (x.shape[1] + 16) * float(np.finfo(dtype).eps) / 2
        self.gamma = 2 * roundings / (1 - roundings)
        self.tiny = 2 * (x.shape[1] + 16) * float(np.finfo(dtype).tiny)

    def left(self, i: Index) -> Features:
        """One row for each of x_i."""
        x, squares = self._placed(self.x[i])
        return self._beside(-2 * x, (1 - self.gamma) * squares - self.tiny, 1)

    @cached_property
    def right(self) -> Features:
        """One row for each y."""
        made = np.empty((len(self.y), self.y.shape[1] + 2), self.dtype)
        for part in _parts(len(self.y), max(1, CELLS // made.shape[1])):
            y, squares = self._placed(self.y[part])
            less = (1 + self.gamma) * self.scale**2 * self.less[part]
            made[part] = self._beside(y, 1, (1 - self.gamma) * squares - less)
        return made

    @cached_property
    def slack(self) -> Features:
        """Where x is y, and nothing is taken off: bound[i, j] + slack[i] is an upper bound of D(x_i, y_j)."""
        squares = self.right[:, -1].astype(np.float64) / (1 - self.gamma)
        slack: Features = (4 * (self.gamma * (squares + squares.max()) + self.tiny)).astype(self.dtype)
        return slack

    def _placed(self, points: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        placed = (points.astype(np.float64) - self.centre) * self.scale
        return placed, np.einsum("nd,nd->n", placed, placed)

    def _beside(self, points: Features, first: Any, second: Any) -> Features:
        made = np.empty((len(points), points.shape[1] + 2), self.dtype)
        made[:, :-2], made[:, -2], made[:, -1] = points, first, second
        return made


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
