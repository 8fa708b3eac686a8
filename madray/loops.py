"""A loop maps a generation t to draws, and nothing else.

The training set of generation 1 is n_ini real samples. From generation 2 on it is a real part and a
synthetic part. A draw here names its source by generation; `madray.forest` turns that into keys.

Streams are named by (seed, generation, role). A synthetic stream is named (seed, t, τ): samples of
G^τ first used at generation t. `accumulate` goes on using (τ + 1, τ), `memory` draws (t, τ) anew; at
t = 2 all loops agree, so they share what they can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madray.errors import BadInput
from madray.spec.loops import AnyLoop, ImportedLoop, Loop
from madray.streams import Stream


@dataclass(frozen=True)
class Sizes:
    """How many samples the draws of a chain have, and how far back they reach."""

    n_ini: int
    n_r: int = 0
    n_s: int = 0
    n_fixed: int = 0
    memory: int = 1


@dataclass(frozen=True)
class RealDraw:
    """n samples of the reference, by the beginning of a stream."""

    n: int
    stream: Stream


@dataclass(frozen=True)
class SyntheticDraw:
    """n samples of generation τ, with the chain's λ where `bias` is None."""

    tau: int
    n: int
    stream: Stream
    bias: float | None = None


@dataclass(frozen=True)
class PoolDraw:
    """n samples, without replacement, of all that the draws of a pool hold together."""

    n: int
    stream: Stream
    pool: tuple[RealDraw | SyntheticDraw, ...]


Draw = RealDraw | SyntheticDraw | PoolDraw


def real_stream(seed: int, t: int) -> Stream:
    """The stream of the real samples that are fresh at generation t."""
    return Stream.of(seed, t, "real")


def synthetic_stream(seed: int, t: int, tau: int) -> Stream:
    """The stream of samples of G^τ first used at generation t."""
    return Stream.of(seed, t, "synthetic", tau)


def draws_of(loop: AnyLoop, t: int, *, sizes: Sizes, seed: int) -> tuple[Draw, ...]:
    """The draws that make up the training set of generation t.

    Raises: ValueError, if t < 1; BadInput, if a loop of the user's own gives what is no training set.

    >>> loop = Loop(real="fresh", synthetic="latest")
    >>> [draw.n for draw in draws_of(loop, 2, sizes=Sizes(n_ini=9, n_r=2, n_s=7), seed=0)]
    [2, 7]
    """
    if t < 1:
        raise ValueError(f"expected a generation of 1 or more, got {t}")
    if t == 1:
        return (RealDraw(sizes.n_ini, real_stream(seed, 1)),)
    if isinstance(loop, ImportedLoop):
        return _own_draws(loop, t, sizes, seed)
    parts = (*_real_part(loop, t, sizes, seed), *_synthetic_part(loop, t, sizes, seed))
    return tuple(draw for draw in parts if draw.n)  # p = 0 or 1 leaves a part empty


def _own_draws(loop: ImportedLoop, t: int, sizes: Sizes, seed: int) -> tuple[Draw, ...]:
    """The draws of a loop of the user's own, checked: nothing is made before all of them are known."""
    try:
        own = loop.load()(**loop.settings)
    except Exception as error:  # a user's class may raise anything
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(f"chain.loop: expected {loop.kind} to take its settings, got {told}") from error
    draws = tuple(own.draws(t, sizes=sizes, seed=seed))
    for draw in draws:
        if fault := _fault(draw, t):
            raise BadInput(f"chain.loop: expected {loop.kind} to give, for t = {t}, {fault}, got {draw}")
    if not any(draw.n for draw in draws):
        raise BadInput(f"chain.loop: expected {loop.kind} to give samples for t = {t}, got none")
    return tuple(draw for draw in draws if draw.n)


def _fault(draw: Draw, t: int) -> str:
    """What a draw of generation t should be and is not; empty where it is right."""
    if not isinstance(draw, RealDraw | SyntheticDraw | PoolDraw):
        return "draws of madray.loops"
    if not isinstance(draw.n, int) or draw.n < 0:
        return "numbers of samples"
    if isinstance(draw, PoolDraw):
        if draw.n > sum(part.n for part in draw.pool):
            return "draws of no more than their pool holds"
        return next(filter(None, (_fault(part, t) for part in draw.pool)), "")
    if isinstance(draw, SyntheticDraw) and not 1 <= draw.tau < t:
        return "draws from generations before it"
    if isinstance(draw, SyntheticDraw) and draw.bias is not None and not 0 <= draw.bias <= 1:
        return "λ in [0, 1]"
    return ""


def _real_part(loop: Loop, t: int, sizes: Sizes, seed: int) -> tuple[RealDraw, ...]:
    # A fixed set is the beginning of generation 1's stream: exactly its training set when n_ini = n_r.
    fixed, fresh = real_stream(seed, 1), real_stream(seed, t)
    match loop.real:
        case "none":
            return ()
        case "fixed":
            return (RealDraw(sizes.n_r, fixed),)
        case "fresh":
            return (RealDraw(sizes.n_r, fresh),)
        case "fixed+fresh":
            return (RealDraw(sizes.n_fixed, fixed), RealDraw(sizes.n_r, fresh))


def _synthetic_part(loop: Loop, t: int, sizes: Sizes, seed: int) -> tuple[Draw, ...]:
    match loop.synthetic:
        case "none":
            return ()
        case "latest" | "memory":
            return _remembered(loop, t, sizes, seed)
        case "accumulate":
            return _accumulated(t, sizes, seed)
        case "accumulate_subsample":
            start = RealDraw(sizes.n_ini, real_stream(seed, 1))
            pool: tuple[RealDraw | SyntheticDraw, ...] = (start, *_accumulated(t, sizes, seed))
            return (PoolDraw(sizes.n_s, Stream.of(seed, t, "subsample"), pool),)


def _accumulated(t: int, sizes: Sizes, seed: int) -> tuple[SyntheticDraw, ...]:
    return tuple(SyntheticDraw(tau, sizes.n_s, synthetic_stream(seed, tau + 1, tau)) for tau in range(1, t))


def _remembered(loop: Loop, t: int, sizes: Sizes, seed: int) -> tuple[SyntheticDraw, ...]:
    """n_s samples of the last min(K, t − 1) generations, the newest first."""
    reach = min(sizes.memory, t - 1)
    taus = [t - back for back in range(1, reach + 1)]
    if loop.split == "equal":
        counts = [sizes.n_s // reach + (place < sizes.n_s % reach) for place in range(reach)]
    elif reach == 1:
        counts = [sizes.n_s]
    else:
        # Each sample picks its generation by itself, so the counts are multinomial; they come from a named
        # stream, so that every key is known before anything is made.
        shares = np.full(reach, 1 / reach)
        counts = Stream.of(seed, t, "split").numpy().multinomial(sizes.n_s, shares).tolist()
    return tuple(
        SyntheticDraw(tau, count, synthetic_stream(seed, t, tau))
        for tau, count in zip(taus, counts, strict=True)
        if count
    )
