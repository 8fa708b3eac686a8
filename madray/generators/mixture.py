"""A mixture of Gaussians: its density, its samples, and expectation maximization, all components at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from madray.generators.covariances import Covariances, Shape

Array = NDArray[np.float64]

_CELLS = 1 << 16
"""How many numbers a block of points may have in the frames of all components: what a cache takes, and so few
that their memory is used again. Blocks twice as large ask for new memory each time, and take thrice as long.
"""

_LEAST = -700.0
"""Log of the least share of a point that a component has: below, exponentials are slow, and end in 0."""


@dataclass(frozen=True)
class Mixture:
    """p(x) = Σ_k π_k N(x; μ_k, Σ_k) in d dimensions.

    Attributes:
        weights: π, shape (k,); sums to 1.
        means: μ_k, shape (k, d).
        covariances: Σ_k = L_k L_kᵀ.
    """

    weights: Array
    means: Array
    covariances: Covariances

    def scaled(self, bias: float) -> Mixture:
        """Σ_k π_k N(μ_k, λΣ_k)."""
        return Mixture(self.weights, self.means, self.covariances.scaled(bias))

    def log_density(self, points: Array) -> Array:
        """log p of points of shape (d, n), in nats; shape (n,)."""
        return np.concatenate([_expect(self, points[:, part])[2] for part in _blocks(self, points)])

    def sample(self, n: int, random: np.random.Generator) -> Array:
        """n samples, shape (n, d): a component k by its weight, then x = μ_k + L_k z."""
        chosen = random.choice(len(self.weights), size=n, p=self.weights)
        noise = random.standard_normal((n, self.means.shape[1]))
        return self.means[chosen] + self.covariances.coloured(noise, chosen)


@dataclass(frozen=True)
class Fit:
    """Where EM came to.

    Attributes:
        log_likelihood: mean log p of the points, in nats, before the last step.
        steps: how many there were.
    """

    mixture: Mixture
    log_likelihood: float
    steps: int


def distinct(points: Array) -> tuple[Array, Array | None]:
    """Points that differ in a bit, shape (d, k), and how many there are of each, shape (k,), None where all
    differ: late in a loop most are copies of a few, and EM takes time for each it is given.

    >>> distinct(np.array([[5.0, 3.0, 5.0]]))
    (array([[3., 5.]]), array([1., 2.]))
    """
    rows = np.ascontiguousarray(points.T)
    sums = rows.sum(axis=1)  # equal of copies: most sets are told to have none by one number each
    if not len(points) or len(np.unique(sums)) == len(sums):
        return points, None
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    _, first, copies = np.unique(as_bytes, return_index=True, return_counts=True)
    return np.ascontiguousarray(points[:, first]), copies.astype(np.float64)


def begin(points: Array, centres: NDArray[np.intp], *, shape: Shape, floor: float) -> Mixture:
    """Components of equal weight on some of the points, as small as they may be: the first step of EM gives
    each point to its nearest centre.

    Args:
        points: shape (d, n).
        centres: indices of the points, none of them equal.
        floor: the least variance of a component, above 0.
    """
    weights = np.full(len(centres), 1 / len(centres))
    return Mixture(weights, points[:, centres].T, shape.kind.equal(floor, len(points)))


def maximise(
    points: Array,
    mixture: Mixture,
    *,
    shape: Shape,
    floor: float,
    tolerance: float,
    max_steps: int,
    copies: Array | None = None,
) -> Fit:
    """Expectation maximization, until the mean log-likelihood gains less than `tolerance`.

    Args:
        points: shape (d, n).
        mixture: where it begins.
        copies: how many there are of each point, shape (n,); one without.
        floor: the least variance of a component along any direction, above 0. Raising the eigenvalues below
            it is the maximum under that bound, so the likelihood never falls.

    Source: Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm".

    >>> from madray.generators.covariances import SHAPES
    >>> points = np.array([[-1.0, 1.0, 9.0, 11.0]])
    >>> start = begin(points, np.array([0, 3]), shape=SHAPES["full"], floor=1e-6)
    >>> found = maximise(points, start, shape=SHAPES["full"], floor=1e-6, tolerance=1e-9, max_steps=50)
    >>> found.mixture.means.round(9).tolist(), found.mixture.covariances.matrices().round(9).tolist()
    ([[0.0], [10.0]], [[[1.0]], [[1.0]]])
    """
    gained, log_likelihood, steps = math.inf, -math.inf, 0
    while gained >= tolerance and steps < max_steps:
        before = log_likelihood
        mixture, log_likelihood = _step(mixture, points, copies, shape, floor)
        gained, steps = log_likelihood - before, steps + 1
    return Fit(mixture, log_likelihood, steps)


def _step(
    mixture: Mixture, points: Array, copies: Array | None, shape: Shape, floor: float
) -> tuple[Mixture, float]:
    """One step of EM, and the mean of log p of the points before it.

        r_kn = π_k N(x_n; μ_k, Σ_k) / p(x_n)
        π_k ← Σ_n r_kn / n,  μ_k ← Σ_n r_kn x_n / nπ_k,  Σ_k ← Σ_n r_kn (x_n − μ_k)(x_n − μ_k)ᵀ / nπ_k

    The sums are taken in the frame of each component, where the points that it has a share of are about as
    large as 1: a component that shrank to a millionth of the distance to the others loses no digits.
    """
    blocks = _blocks(mixture, points)
    sums = reduce(
        add,
        (_Sums.over(mixture, points[:, part], None if copies is None else copies[part]) for part in blocks),
    )
    frames = mixture.covariances
    mean = sums.z / sums.count[:, np.newaxis]
    weights = sums.count / sums.count.sum()
    covariances = shape.restricted(frames.around(sums.count, mean, sums.squares), weights)
    moved = Mixture(weights, mixture.means + frames.outwards(mean), shape.kind.above(covariances, floor))
    return moved, sums.log_p / (points.shape[1] if copies is None else float(copies.sum()))


@dataclass(frozen=True)
class _Sums:
    """Over points: of log p, of the shares r_kn, and with these of z and its squares in each frame."""

    log_p: float
    count: Array
    z: Array
    squares: Array

    @staticmethod
    def over(mixture: Mixture, points: Array, copies: Array | None) -> _Sums:
        z, r, log_p = _expect(mixture, points)
        if copies is not None:
            r *= copies
            log_p *= copies
        first = (z @ r[:, :, np.newaxis])[:, :, 0]
        return _Sums(float(log_p.sum()), r.sum(axis=1), first, mixture.covariances.squares(z, r))

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.log_p + other.log_p,
            self.count + other.count,
            self.z + other.z,
            self.squares + other.squares,
        )


def _expect(mixture: Mixture, points: Array) -> tuple[Array, Array, Array]:
    """z of the points in the frame of each component, shape (k, d, n), the shares r_kn, and log p(x_n)."""
    z = mixture.covariances.inwards(points, mixture.means)
    scale = np.log(mixture.weights) - mixture.covariances.half_log_det - len(points) / 2 * _LOG_TWO_PI
    r = np.einsum("kdn,kdn->kn", z, z)
    r *= -0.5
    r += scale[:, np.newaxis]
    largest = r.max(axis=0)
    r -= largest
    np.exp(np.maximum(r, _LEAST, out=r), out=r)
    total = r.sum(axis=0)
    r /= total
    return z, r, largest + np.log(total)


_LOG_TWO_PI = math.log(2 * math.pi)


def _blocks(mixture: Mixture, points: Array) -> Iterator[slice]:
    rows = max(1, _CELLS // max(1, mixture.means.size))
    for start in range(0, points.shape[1], rows):
        yield slice(start, start + rows)
