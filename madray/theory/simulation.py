"""Simulates the Gaussian loop from sufficient statistics: exact in law, O(d³) a generation, whatever n is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madray.streams import Stream
from madray.theory import serial
from madray.theory.estimate import Array, Estimate
from madray.theory.loop import Loop, Real, Split, at_least

SERIAL_FROM = 24
"""From this dimension on a CPU goes replicate by replicate: below, what Python adds to one is most of it."""


@dataclass(frozen=True)
class Simulation:
    """What was measured of the generations of many chains: arrays of shape (generations,).

    Attributes:
        w2_squared: W2² of N(μ_t, Σ_t) to N(0, I): |μ|² + Σ_i (√ω_i − 1)² over the eigenvalues ω of Σ_t.
        w2: its root, of each chain before the mean is taken.
        trace: tr Σ_t.
        mean_squared_norm: |μ_t|².
    """

    w2_squared: Estimate[Array]
    w2: Estimate[Array]
    trace: Estimate[Array]
    mean_squared_norm: Estimate[Array]


def simulate(
    d: int,
    n_r: int,
    n_s: int,
    bias: float,
    *,
    real: Real = "fresh",
    n_ini: int,
    memory: int = 1,
    split: Split = "sample",
    generations: int,
    replicates: int,
    seed: int = 0,
    device: str = "cpu",
) -> Simulation:
    """Run chains of Gaussian models, and give the means over replicates by generation.

    Generation 1 is fitted to n_ini real samples, each later one to n_r real and n_s synthetic ones. Nothing
    is approximated: means and scatters are drawn from their own laws (`madray.theory.fit`). float64
    throughout.

    Args:
        d: dimension of the reference N(0, I_d).
        n_r, n_s: real and synthetic samples of each generation after the first, together 2 or more.
        bias: λ in (0, 1]; synthetic samples are of N(μ, λΣ).
        real: `none` (n_r = 0), `fixed` (the same n_r samples always: the beginning of generation 1's set, or
            its continuation where n_r > n_ini) or `fresh`.
        n_ini: real samples of generation 1, 2 or more.
        memory: K; generation t draws on the last min(K, t − 1).
        split: of n_s among these: each sample picks its own (`sample`), or `equal` shares.
        seed: replicate r of a seed is the same whatever `replicates` and `generations` are, on one device and
            with one version of torch.
        device: `cpu`, or what torch calls a GPU.

    Raises: ValueError, if an argument is out of bounds; it names the argument, the bound and the value.

    >>> made = simulate(5, 20, 80, 1.0, n_ini=50, generations=3, replicates=1000)
    >>> from madray.theory.first_moments import moments
    >>> exact = 5 * moments(5, 20, 80, 1.0, n_ini=50, generations=3).c
    >>> bool((abs(made.trace.mean - exact) < 4 * made.trace.standard_error).all())
    True
    """
    loop = Loop(d, n_r, n_s, bias, real, memory, split)
    at_least("n_ini", n_ini, 2)
    at_least("generations", generations, 1)
    at_least("replicates", replicates, 1)
    at_least("seed", seed, 0)
    check_device(device)
    told = replicate_statistics(loop, n_ini, generations, replicates, seed, device)
    norm, trace, root = told[..., 0], told[..., 1], told[..., 2]
    w2_squared = np.maximum(norm + trace + d - 2 * root, 0.0)
    by_name = (w2_squared, np.sqrt(w2_squared), trace, norm)
    return Simulation(*map(Estimate.over_replicates, by_name))


def check_device(device: str) -> None:
    """Raises: ValueError, if torch cannot compute in float64 there."""
    if device == "cpu":
        return
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        told = str(error).splitlines()[0]
        raise ValueError(
            f"device: expected cpu, or a device where torch has float64, got {device!r} ({told})"
        ) from None


def replicate_statistics(
    loop: Loop, n_ini: int, generations: int, replicates: int, seed: int, device: str
) -> Array:
    """|μ|², tr Σ and tr Σ^½ of each generation of each chain, shape (replicates, generations, 3)."""
    stream = Stream.of("theory", "simulate", seed)
    if device == "cpu" and loop.d >= SERIAL_FROM:
        chains = [
            _one(loop, n_ini, generations, stream.child(replicate).numpy()) for replicate in range(replicates)
        ]
        return np.array(chains)
    from madray.theory import batched  # it loads torch, which the way above has no need of

    blocks = [
        batched.statistics(loop, n_ini, generations, stream.child("block", block), device).cpu().numpy()
        for block in range(-(-replicates // batched.BLOCK))
    ]
    return np.concatenate(blocks)[:replicates]


def _one(loop: Loop, n_ini: int, generations: int, rng: np.random.Generator) -> Array:
    told = np.empty((generations, 3))
    for t, model in zip(range(generations), serial.chain(loop, n_ini, rng), strict=False):
        roots = np.sqrt(serial.spectrum(model))
        told[t] = model.mean @ model.mean, np.vdot(model.root, model.root), roots.sum()
    return told
