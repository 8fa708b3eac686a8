"""What the engine adds to a cell: (wall time − pure compute) per cell, the start of Ray and workers left out.

200 cells of the gaussian generator, 5 generations each. Pure compute is the same orders carried out by one
`Maker` in this process, with nothing stored; the sweep runs them on a local Ray with two workers, so pure
compute is divided by two. Ray is started before, and the clock of a sweep starts when its first result comes
in: the start of Ray and of the workers is shown beside.

    python analysis/bench/engine_overhead.py            # prints a table
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import ray

from madray.bundles import Batch
from madray.chain import Maker
from madray.engine.cluster import OnRay
from madray.engine.events import Event, GenerationMade
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.engine.threads import limited_threads, thread_variables
from madray.plan import Plan
from madray.spec.reading import parse_sweep
from madray.store import Store
from madray.tracking import Tracker

ONE_THREAD = thread_variables(1)

SWEEP = """
name: overhead
chain:
  reference: {{kind: gaussian, d: 10}}
  generator: gaussian
  loop: fresh_data
  n_ini: 100
  n_r: 50
  generations: 5
grid:
  n_s: {n_s}
resources: {{concurrent: {workers}}}
"""


@dataclass
class Clock:
    """When each generation came in, and how long it took."""

    made: list[tuple[float, float]] = field(default_factory=list)

    def begin(self, plan: Plan) -> None:
        """Nothing to show."""

    def event(self, event: Event) -> None:
        if isinstance(event, GenerationMade):
            self.made.append((time.perf_counter(), event.seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    results: dict[str, list[float]] = {"tracking off": [], "MLflow on SQLite": []}
    begun = time.perf_counter()
    ray.init(
        address="local", include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": ONE_THREAD}
    )
    print(f"start of Ray: {time.perf_counter() - begun:.1f} s")
    for _ in range(options.rounds):
        pure = pure_seconds(options.cells, options.workers)
        for tracking, seconds in results.items():
            started, wall = sweep_seconds(options.cells, options.workers, tracked=tracking != "tracking off")
            overhead = (wall - pure / options.workers) / options.cells
            seconds.append(overhead)
            print(
                f"{tracking:18} start of workers {started:.2f} s, then {wall:.2f} s; pure {pure:.2f} s"
                f" on {options.workers} workers; overhead {overhead * 1000:6.1f} ms a cell",
                flush=True,
            )
    for tracking, seconds in results.items():
        print(f"{tracking:18} median {statistics.median(seconds) * 1000:.1f} ms a cell")


def sweep_text(cells: int, workers: int) -> str:
    """A sweep of cells that differ in n_s."""
    return SWEEP.format(n_s=list(range(100, 100 + cells)), workers=workers)


def pure_seconds(cells: int, workers: int) -> float:
    """What the fits, samples and measurements themselves take, in one process and one thread."""
    with tempfile.TemporaryDirectory() as folder, limited_threads(1):
        store = Store.open(folder)
        prepared = prepare(parse_sweep(sweep_text(cells, workers), name="bench"), store=store, data=None)
        maker = Maker(Batch(store))
        started = time.perf_counter()
        for segment in prepared.plan.segments:
            for order in segment.orders:
                maker.make(order, lambda phase, done, total: None)
        return time.perf_counter() - started


def sweep_seconds(cells: int, workers: int, *, tracked: bool) -> tuple[float, float]:
    """Seconds until the first result of a sweep, and from there to its end, MLflow's end included."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "store")
        prepared = prepare(parse_sweep(sweep_text(cells, workers), name="bench"), store=store, data=None)
        tracker: Tracker | None = None
        if tracked:
            tracker = Tracker(f"sqlite:///{folder}/mlflow.db", prepared.record, lambda key: None)
            tracker.start()
        clock = Clock()
        started = time.perf_counter()
        outcome = run(prepared, executor=OnRay(None), display=clock, follower=tracker)
        if tracker is not None:
            tracker.finish(outcome.states, {}, wait_seconds=600)
        first = clock.made[0][0]
        return first - started, time.perf_counter() - first


if __name__ == "__main__":
    main()
