"""Chains of Gaussian models one replicate at a time: the fastest way on a CPU, from some dimensions on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from scipy.linalg import lapack

from madray.theory.estimate import Array
from madray.theory.fit import Group, Model, draw_from, draw_standard, fit, merge
from madray.theory.loop import Loop, equal_counts


def chain(loop: Loop, n_ini: int, rng: np.random.Generator) -> Iterator[Model]:
    """Generations 1, 2, … of one chain, without end."""
    real: Group | None = None
    if loop.real == "fixed" and loop.n_r:
        # The fixed set is the beginning of generation 1's, or the other way round.
        common = draw_standard(loop.d, min(n_ini, loop.n_r), rng)
        more = abs(n_ini - loop.n_r)
        whole = merge([common, draw_standard(loop.d, more, rng)]) if more else common
        first, real = (common, whole) if n_ini < loop.n_r else (whole, common)
    else:
        first = draw_standard(loop.d, n_ini, rng)
    beginning = fit([first])
    yield beginning
    yield from successors(loop, [beginning], rng, fixed=real)


def successors(
    loop: Loop, past: list[Model], rng: np.random.Generator, *, fixed: Group | None = None
) -> Iterator[Model]:
    """The generations after `past` (the newest first), without end.

    Args:
        fixed: the real samples of all generations; fresh ones are drawn where None.
    """
    latest = deque(past, maxlen=loop.memory)
    while True:
        groups = []
        if loop.n_r:
            groups.append(fixed or draw_standard(loop.d, loop.n_r, rng))
        if loop.n_s:
            counts = split_counts(loop, len(latest), rng)
            groups += [
                draw_from(model, n, loop.bias, rng) for model, n in zip(latest, counts, strict=True) if n
            ]
        latest.appendleft(fit(groups))
        yield latest[0]


def split_counts(loop: Loop, reach: int, rng: np.random.Generator) -> list[int]:
    """How many samples each of the last `reach` generations gives, the newest first."""
    if reach == 1:
        return [loop.n_s]
    if loop.split == "equal":
        return equal_counts(loop.n_s, reach)
    return list(map(int, rng.multinomial(loop.n_s, np.full(reach, 1 / reach))))


def spectrum(model: Model) -> Array:
    """The eigenvalues of Σ that are not 0 by its rank, ascending, shape (k,)."""
    values, _, failed = lapack.dsyevd(model.gram(), compute_v=0, lower=1, overwrite_a=1)
    if failed:
        raise ArithmeticError(
            f"expected a finite covariance, got one whose eigenvalues LAPACK cannot find ({failed})"
        )
    return np.asarray(np.maximum(values, 0.0))
