"""The Gaussian loop as a naive program runs it: n × d numbers a generation, and `numpy.cov`.

The yardstick of `madray.theory.simulate`, for its correctness and for its speed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from madray.theory.estimate import Array
from madray.theory.loop import Loop
from madray.theory.serial import split_counts

Moments = tuple[Array, Array]
"""μ, shape (d,), and Σ, shape (d, d)."""


def chain(loop: Loop, n_ini: int, rng: np.random.Generator) -> Iterator[Moments]:
    """μ and Σ of generations 1, 2, … of one chain, without end."""
    real = rng.standard_normal((max(n_ini, loop.n_r), loop.d))
    latest = deque([moments_of(real[:n_ini])], maxlen=loop.memory)
    while True:
        yield latest[0]
        fresh = real if loop.real == "fixed" else rng.standard_normal((loop.n_r, loop.d))
        parts = [fresh[: loop.n_r]]
        if loop.n_s:
            counts = split_counts(loop, len(latest), rng)
            parts += [draw(model, n, loop.bias, rng) for model, n in zip(latest, counts, strict=True)]
        latest.appendleft(moments_of(np.concatenate(parts)))


def moments_of(samples: Array) -> Moments:
    """Mean and unbiased covariance of samples, shape (n, d)."""
    return samples.mean(axis=0), np.atleast_2d(np.cov(samples, rowvar=False))


def draw(model: Moments, n: int, bias: float, rng: np.random.Generator) -> Array:
    """n samples of N(μ, λΣ), by a Cholesky factor, or by eigenvectors where Σ is singular."""
    mean, covariance = model
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    noise = rng.standard_normal((n, mean.size))
    return np.asarray(mean + np.sqrt(bias) * noise @ root.T)


def statistics(model: Moments) -> Array:
    """|μ|², tr Σ and tr Σ^½."""
    mean, covariance = model
    spectrum = np.maximum(np.linalg.eigvalsh(covariance), 0.0)
    return np.array([mean @ mean, spectrum.sum(), np.sqrt(spectrum).sum()])
