"""What a generation of the `gmm` generator costs, and its EM against scikit-learn's.

First both fit the same training sets from the same centres, alternating in this process with one thread: 25
full covariances in the plane. Their likelihoods agree but where a variance is at the floor: scikit-learn adds
it to every variance, and ours is no less than it. Then a fully synthetic chain runs as `madray sweep` runs
it, but for Ray and MLflow. Seconds are those of this process on a processor.

    python analysis/bench/gmm_chain.py                      # some minutes; prints tables
    python analysis/bench/gmm_chain.py --generations 200    # less than one
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import madray
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.engine.threads import limited_threads
from madray.generators.covariances import SHAPES
from madray.generators.mixture import Fit, begin, maximise
from madray.generators.seeding import spread_centres
from madray.generators.standard import Standard
from madray.running import Nothing
from madray.spec.generators import GMM
from madray.spec.reading import check_sweep
from madray.store import Store
from madray.streams import Stream

Array = NDArray[np.float64]

SIZES = (1000, 10_000)

LATER = 100
"""The generation that is fitted beside generation 2."""

SETTINGS = GMM()

FLOOR = 1e-13
"""One that scikit-learn can do with."""


def chain(n: int, generations: int) -> dict[str, object]:
    return {
        "reference": "gmm25",
        "generator": "gmm",
        "loop": "fully_synthetic",
        "n_ini": n,
        "n_s": n,
        "n_eval": 1000,
        "generations": generations,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--generations", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with limited_threads(1):
        for n in SIZES:
            print_fits(n, options.rounds)
        for n in SIZES:
            print_chain(n, options.generations)


def training_sets(n: int) -> dict[str, Array]:
    """Standardised training sets of two generations, shape (2, n)."""
    told = {**chain(n, LATER), "metrics": ["variance"]}
    with tempfile.TemporaryDirectory() as folder:
        made = madray.run_chain(told, seed=0, store=folder)
        values = {t: made.generation(None, t - 1).sample(n).values for t in (2, LATER)}
    return {
        f"generation {t}": np.ascontiguousarray(Standard.of(each).inwards(each).T)
        for t, each in values.items()
    }


def print_fits(n: int, rounds: int) -> None:
    for name, points in training_sets(n).items():
        centres = spread_centres(points, SETTINGS.components, Stream.of("bench").numpy())
        seconds: dict[str, list[float]] = {"ours": [], "scikit-learn": []}
        for _ in range(rounds):
            started = time.process_time()
            fit = ours(points, centres)
            between = time.process_time()
            likelihood, steps = scikit_learns(points, centres)
            seconds["ours"].append(between - started)
            seconds["scikit-learn"].append(time.process_time() - between)
        least = np.linalg.eigvalsh(fit.mixture.covariances.matrices()).ravel()
        medians = {who: statistics.median(each) for who, each in seconds.items()}
        ratios = [theirs / mine for mine, theirs in zip(*seconds.values(), strict=True)]
        print(
            f"n = {n:,}, {name}: {fit.steps} and {steps} steps; ours "
            f"{1e3 * medians['ours']:.1f} ms, scikit-learn {1e3 * medians['scikit-learn']:.1f} ms, "
            f"{statistics.median(ratios):.1f} times as long; "
            f"likelihoods differ by {abs(likelihood - fit.log_likelihood):.0e}, "
            f"{np.count_nonzero(least < 2 * FLOOR)} of {len(least)} variances at the floor",
            flush=True,
        )


def ours(points: Array, centres: NDArray[np.intp]) -> Fit:
    """From the centres to where EM ends."""
    shape = SHAPES["full"]
    start = begin(points, centres, shape=shape, floor=FLOOR)
    return maximise(
        points,
        start,
        shape=shape,
        floor=FLOOR,
        tolerance=SETTINGS.tolerance,
        max_steps=SETTINGS.max_iterations,
    )


def scikit_learns(points: Array, centres: NDArray[np.intp]) -> tuple[float, int]:
    """Likelihood and steps of the same fit, begun at the same centres, as small as the floor allows."""
    k = len(centres)
    model = GaussianMixture(
        k,
        tol=SETTINGS.tolerance,
        max_iter=SETTINGS.max_iterations,
        reg_covar=FLOOR,
        weights_init=np.full(k, 1 / k),
        means_init=points[:, centres].T,
        precisions_init=np.tile(np.eye(2) / FLOOR, (k, 1, 1)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points.T)
    return float(model.lower_bound_), int(model.n_iter_)


def print_chain(n: int, generations: int) -> None:
    told = {"name": "bench", "chain": chain(n, generations), "keep": f"every {max(1, generations // 10)}"}
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(check_sweep(told, name="bench"), store=Store.open(folder), data=None)
        started = time.process_time()
        outcome = run(prepared, executor=execute_here, display=Nothing())
        took = time.process_time() - started
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    assert not outcome.failures
    print(
        f"n = {n:,}: {generations} generations in {took:.1f} s, {1e3 * took / generations:.1f} ms each; "
        f"{size / 1e6:.1f} MB in the store",
        flush=True,
    )


if __name__ == "__main__":
    main()
