"""Precision and recall against the package `prdc`, and the Fréchet distance against `scipy.linalg.sqrtm`.

Both ways alternate in this process on equal features, with one BLAS thread on one core (`prdc` asks for eight
threads of its own, which would otherwise share all cores); medians over rounds. The features are random,
Gaussian with standard deviations that fall as 1/√i, so that no few directions say all; the generated ones are
shifted and narrower. Values are compared as well.

    python analysis/bench/feature_metrics.py               # some minutes; prints a table
    python analysis/bench/feature_metrics.py --largest     # precision and recall at 70,000 × 2,048 alone
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from prdc import compute_prdc
from scipy.linalg import sqrtm
from threadpoolctl import threadpool_limits

from madray.metrics.frechet import frechet_between_gaussians
from madray.metrics.moments import mean_and_covariance, root
from madray.metrics.precision_recall import precision_recall
from madray.streams import Stream

SIZES = ((10_000, 84), (5_000, 2_048))
LARGEST = (70_000, 2_048)
FRECHET_D = 2_048
K = 5

Features = NDArray[np.float32]
Numbers = tuple[float, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest", action="store_true", help="precision and recall at 70,000 × 2,048 alone")
    options = parser.parse_args()
    on_one_core()
    with threadpool_limits(1):
        if options.largest:
            show_largest()
            return
        for n, d in SIZES:
            real, generated = features(n, d)
            ways: dict[str, Callable[[], Numbers]] = {
                "prdc": partial(by_prdc, real, generated),
                "madray": partial(ours, real, generated),
            }
            told = alternating(ways, options.rounds)
            show(f"precision and recall, {n:,} × {d:,}", told)
        show(f"Fréchet distance, d = {FRECHET_D:,}", alternating(frechet_ways(), options.rounds))


def on_one_core() -> None:
    """Where the system can: on Linux."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def features(n: int, d: int) -> tuple[Features, Features]:
    """Real and generated features, shape (n, d) each."""
    rng = Stream.of("bench", n, d).numpy()
    scale = (1 / np.sqrt(np.arange(1, d + 1))).astype(np.float32)
    real = rng.standard_normal((n, d), dtype=np.float32) * scale
    generated = 0.9 * rng.standard_normal((n, d), dtype=np.float32) * scale
    generated[:, 0] += 0.5
    return real, generated.astype(np.float32)


def by_prdc(real: Features, generated: Features) -> Numbers:
    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real_features=real, fake_features=generated, nearest_k=K)
    return float(found["precision"]), float(found["recall"])


def ours(real: Features, generated: Features) -> Numbers:
    found = precision_recall(real=real, generated=generated, k=K)
    return found.precision, found.recall


def frechet_ways() -> dict[str, Callable[[], Numbers]]:
    """d² between Gaussians fitted to 5,000 samples each; the real side's root is made once a sweep."""
    real, generated = features(5_000, FRECHET_D)
    mu_r, sigma_r = mean_and_covariance(real)
    mu_g, sigma_g = mean_and_covariance(generated)
    root_r = root(sigma_r)

    def by_sqrtm() -> Numbers:
        crossed = sqrtm(sigma_r @ sigma_g).real
        return (float(np.sum((mu_r - mu_g) ** 2) + np.trace(sigma_r + sigma_g - 2 * crossed)),)

    def by_eigenvalues() -> Numbers:
        return (frechet_between_gaussians(mu_r=mu_r, root_r=root_r, mu_g=mu_g, sigma_g=sigma_g),)

    return {"sqrtm": by_sqrtm, "madray": by_eigenvalues}


def alternating(ways: dict[str, Callable[[], Numbers]], rounds: int) -> dict[str, tuple[float, Numbers]]:
    """Median seconds and the result of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Numbers] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            found[name] = way()
            seconds[name].append(time.perf_counter() - started)
    return {name: (statistics.median(seconds[name]), found[name]) for name in ways}


def show(what: str, told: dict[str, tuple[float, Numbers]]) -> None:
    """The other way's time and value, ours, and their ratio."""
    (other, (slow, expected)), (_, (fast, found)) = told.items()
    values = ", ".join(f"{one:.6g} / {two:.6g}" for one, two in zip(expected, found, strict=True))
    print(
        f"{what}: {other} {slow:.2f} s, madray {fast:.2f} s, {slow / fast:.1f}×; values {values}", flush=True
    )


def show_largest() -> None:
    """Time, and memory at the most, that of the features included."""
    real, generated = features(*LARGEST)
    started = time.perf_counter()
    found = ours(real, generated)
    seconds = time.perf_counter() - started
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    n, d = LARGEST
    values = ", ".join(f"{value:.6g}" for value in found)
    print(
        f"precision and recall, {n:,} × {d:,}: madray {seconds:.0f} s, at most {gib:.1f} GiB; values {values}"
    )


if __name__ == "__main__":
    main()
