"""A generation of the Gaussian loop from sufficient statistics, against drawing its samples and `numpy.cov`.

Both ways alternate in this process, with one BLAS thread, d = 100, n_r = n/10, λ = 1, and the same kind of
random generator. Shown are the update of (μ, Σ) alone, and with W2² of the result; medians over rounds. Then
what control variates leave of the variance of the limit.

    python analysis/bench/gaussian_loop.py            # about three minutes; prints tables
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from madray.streams import Stream
from madray.theory import brute_force, serial
from madray.theory.estimate import Estimate
from madray.theory.fit import Model
from madray.theory.limits import LimitRun
from madray.theory.loop import Loop
from madray.theory.serial import spectrum

D = 100
SIZES = (1_000, 10_000, 100_000)
LARGE = (10**6, 10**9)
LIMITS = ((100, 900, 1.0), (1000, 10_000, 0.95))

Step = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with threadpool_limits(1):
        print_speed(options.rounds)
        print_controls()


def print_speed(rounds: int) -> None:
    heads = ("n", "drawn", "statistics", "ratio", "drawn + W2²", "statistics + W2²", "ratio")
    print(" ".join(f"{head:>16}" for head in heads))
    for n in SIZES:
        ours, drawn = chains(n)
        steps = [update(drawn), update(ours), update(drawn, brute_force.statistics), update(ours, spectrum)]
        seconds = alternating(steps, rounds)
        ratios = [f"{seconds[place] / seconds[place + 1]:15.0f}×" for place in (0, 2)]
        print(f"{n:16,}", *map(told, seconds[:2]), ratios[0], *map(told, seconds[2:]), ratios[1], flush=True)
    for n in LARGE:  # what would be drawn does not fit
        ours, _ = chains(n)
        alone, with_w2 = alternating([update(ours), update(ours, spectrum)], rounds)
        print(f"{n:16,}", " " * 16, told(alone), " " * 33, told(with_w2))


def chains(n: int) -> tuple[Iterator[Model], Iterator[brute_force.Moments]]:
    """A chain by sufficient statistics, and one by drawing samples, which draws nothing until it is asked."""
    loop = Loop(D, n // 10, n - n // 10, 1.0)
    stream = Stream.of("bench", n)
    return serial.chain(loop, n, stream.child(0).numpy()), brute_force.chain(loop, n, stream.child(1).numpy())


def update(chain: Iterator[Any], measure: Callable[[Any], object] = lambda model: None) -> Step:
    """Make the next generation of a chain, and measure it."""
    return lambda: measure(next(chain))


def alternating(steps: list[Step], rounds: int) -> list[float]:
    """Median seconds of each step; each round runs every one for at least 10 ms."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds):
        for place, each in enumerate(steps):
            runs, started = 0, time.perf_counter()
            while (took := time.perf_counter() - started) < 0.01 or not runs:
                each()
                runs += 1
            seconds[place].append(took / runs)
    return [statistics.median(each) for each in seconds]


def told(seconds: float) -> str:
    return f"{seconds * 1e3:13.3f} ms"


def print_controls(seeds: int = 20) -> None:
    print("\ncontrol variates: squared standard error of the plain estimate over that of the controlled one")
    for n_r, n_s, bias in LIMITS:
        plain, controlled, started = [], [], time.perf_counter()
        for seed in range(seeds):
            run = LimitRun(Loop(D, n_r, n_s, bias), rtol=1e-3, seed=seed)
            run.look(60)
            plain.append(run.plain())
            controlled.append(run.estimate())
        fold = mean_square(plain) / mean_square(controlled)
        seen = np.std([each.mean for each in controlled], ddof=1) / mean_square(controlled) ** 0.5
        seconds = (time.perf_counter() - started) / seeds
        print(
            f"(n_r, n_s, λ) = ({n_r}, {n_s}, {bias:g}): {fold:.0f}-fold, {seconds:.1f} s each; "
            f"over {seeds} seeds E W2² = {np.mean([each.mean for each in controlled]):.5f}, "
            f"spread / standard error = {seen:.2f}"
        )


def mean_square(estimates: list[Estimate[float]]) -> float:
    return float(np.mean([each.standard_error**2 for each in estimates]))


if __name__ == "__main__":
    main()
