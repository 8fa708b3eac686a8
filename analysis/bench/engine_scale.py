"""How far one driver goes: many cells of a generator that does nothing, and workers that must not wait.

Four parts, on a Ray cluster of logical nodes on this machine:

- `cells`: 10,000 cells of 10 generations, without MLflow. All time is the engine's. Told as wall time a cell
  (reading and planning included), and as `engine_overhead.py` tells it: from the first result on, less what
  the same orders take in one process that stores nothing, shared by the cores. Also the driver's memory, the
  store's size, what `madray status` and `madray table` take, and a second run, which has nothing to do;
- `tracked`: fewer cells, with MLflow on SQLite;
- `efficiency`: tasks that sleep 2 s, on 2 workers: time slept ÷ (workers × wall time), from the beginning of
  the first task to the end of the sweep;
- `uneven`: one worker that is four times slower than the other: what each made, and how long it waited
  between two tasks.

    python analysis/bench/engine_scale.py                                  # all of it, about ten minutes
    python analysis/bench/engine_scale.py cells --cells 50 --generations 2
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import do_nothing
import ray
from ray.cluster_utils import Cluster

from madray.bundles import Batch
from madray.chain import Maker
from madray.engine.cluster import OnRay
from madray.engine.events import Event, GenerationMade
from madray.engine.prepare import Prepared, prepare
from madray.engine.sweep import run
from madray.engine.threads import limited_threads, thread_variables
from madray.engine.work import WorkPlan
from madray.spec.reading import parse_sweep
from madray.store import Store
from madray.tracking import Tracker

BENCH = Path(__file__).parent
SAMPLED_CELLS = 200
"""Of how many cells the pure time is measured."""

CELLS = """
name: scale
chain:
  reference: {{kind: gaussian, d: 1}}
  generator: "do_nothing:DoNothing"
  loop: fresh_data
  n_ini: 2
  n_r: 1
  n_eval: 2
  metrics: [variance]
  generations: {generations}
grid:
  n_s: {n_s}
  lambda: {biases}
"""

TASKS = """
name: tasks
chain:
  reference: {{kind: gaussian, d: 1}}
  generator: {{kind: "do_nothing:Sleeping", seconds: {seconds}}}
  loop: fully_synthetic
  n_ini: 2
  n_s: 2
  n_eval: 2
  metrics: [variance]
  generations: 1
seeds: {tasks}
"""


Spans = list[tuple[float, float]]
"""From when to when a worker slept, task by task, in seconds since 1970."""


@dataclass
class FirstResult:
    """A display that notes when the first generation came in."""

    at: float | None = None

    def begin(self, plan: WorkPlan) -> None:
        """Nothing to show."""

    def event(self, event: Event) -> None:
        if self.at is None and isinstance(event, GenerationMade):
            self.at = time.perf_counter()


def main() -> None:
    options = _options()
    parts: dict[str, Callable[[argparse.Namespace], None]] = {
        "cells": cells,
        "tracked": tracked,
        "efficiency": efficiency,
        "uneven": uneven,
    }
    for name in parts if "all" in options.parts else options.parts:
        print(f"\n{name}", flush=True)
        parts[name](options)


def cells(options: argparse.Namespace) -> None:
    """Many cells without MLflow."""
    text = _cells_text(options.cells, options.generations)
    with _nodes([{}] * options.nodes), tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder, "store"))
        started = time.perf_counter()
        prepared = _prepared(text, store)
        planned = time.perf_counter()
        cpu = time.process_time()
        clock = FirstResult()
        run(prepared, executor=OnRay(None), display=clock, follower=None)
        ended = time.perf_counter()
        cpu = time.process_time() - cpu
        assert clock.at is not None
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        n, rows = len(prepared.record.chains), sum(len(chain.rows) for chain in prepared.record.chains)
        _say(f"{n} cells, {rows} rows", f"{prepared.plan.told()}")
        _say("read, grow, plan", f"{planned - started:.1f} s")
        _say("until the first result", f"{clock.at - planned:.1f} s (work handed to Ray, workers started)")
        _say("from there to the end", f"{ended - clock.at:.1f} s; the driver's own CPU time {cpu:.1f} s")
        _say("all of it, a cell", f"{(ended - started) / n * 1000:.1f} ms of wall time")
        pure, cores = _pure_seconds(options.generations, n), min(options.nodes, os.cpu_count() or 1)
        engine = (ended - clock.at - pure / cores) / n
        _say("less the pure time", f"{engine * 1000:.1f} ms a cell (pure {pure:.1f} s on {cores} cores)")
        _say("driver's memory, most", f"{memory:.2f} GiB")
        files = [file for folder in store.names("") for file in store.files(folder)]
        _say("store", f"{sum(file.size_bytes for file in files) / 1e6:.0f} MB in {len(files)} files")
        for command in ("status", "table"):
            _say(f"madray {command}", f"{_command_seconds(command, store):.1f} s, its process included")
        started = time.perf_counter()
        again = _prepared(text, Store.open(store.uri))
        run(again, executor=OnRay(None), display=FirstResult(), follower=None)
        _say("a second run", f"{time.perf_counter() - started:.1f} s; {again.plan.told()}")


def tracked(options: argparse.Namespace) -> None:
    """Fewer cells with MLflow on SQLite."""
    from mlflow.tracking import MlflowClient

    text = _cells_text(options.tracked_cells, options.generations)
    with _nodes([{}] * options.nodes), tempfile.TemporaryDirectory() as folder:
        prepared = _prepared(text, Store.open(Path(folder, "store")))
        uri = f"sqlite:///{folder}/mlflow.db"
        tracker = Tracker(uri, prepared.record, lambda key: None)
        tracker.start()
        clock = FirstResult()
        outcome = run(prepared, executor=OnRay(None), display=clock, follower=tracker)
        ended = time.perf_counter()
        notes = tracker.finish(outcome.states, {}, wait_seconds=3600)
        finished = time.perf_counter()
        assert clock.at is not None
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("scale")
        assert experiment is not None
        runs, token = 0, None
        while True:
            page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
            runs, token = runs + len(page), page.token
            if not token:
                break
        n = len(prepared.record.chains)
        _say(f"{n} cells", f"{runs} runs in MLflow" + "".join(f"; {note}" for note in notes))
        _say(
            "from the first result",
            f"{ended - clock.at:.1f} s to the last, then MLflow {finished - ended:.1f} s",
        )
        _say("together, a cell", f"{(finished - clock.at) / n * 1000:.1f} ms of wall time")


def efficiency(options: argparse.Namespace) -> None:
    """Equal workers: how much of their time is compute."""
    slept, ended = _tasks(options.tasks, options.seconds, [1.0, 1.0])
    began = min(spans[0][0] for spans in slept)
    compute = sum(end - begin for spans in slept for begin, end in spans)
    wall = ended - began
    _say(f"{options.tasks} tasks of {options.seconds:g} s", f"{compute:.2f} s slept on {len(slept)} workers")
    _say("wall time", f"{wall:.2f} s, from the first task's beginning to the sweep's end")
    _say("efficiency", f"{compute / (2 * wall):.1%} (compute ÷ (2 × wall))")
    _say_gaps(slept)


def uneven(options: argparse.Namespace) -> None:
    """A fast worker and a slow one."""
    slept, _ = _tasks(options.tasks, options.seconds / 4, [1.0, 4.0])
    slept = sorted(slept, key=len, reverse=True)
    _say("made by each", ", ".join(f"{len(spans)} of {options.tasks}" for spans in slept))
    _say_gaps(slept)


def _tasks(tasks: int, seconds: float, slowness: Sequence[float]) -> tuple[list[Spans], float]:
    """When each worker slept, and when the sweep ended, in seconds since 1970."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.mkdir()
        nodes = [{do_nothing.LOG: str(log), do_nothing.SLOWNESS: str(factor)} for factor in slowness]
        with _nodes(nodes):
            text = TASKS.format(seconds=seconds, tasks=tasks)
            prepared = _prepared(text, Store.open(Path(folder, "store")))
            run(prepared, executor=OnRay(None), display=FirstResult(), follower=None)
            ended = time.time()
        slept = []
        for file in log.iterdir():
            spans = [tuple(map(float, line.split())) for line in file.read_text().splitlines()]
            slept.append([(begin, end) for begin, end in spans])
        return slept, ended


def _say_gaps(slept: Sequence[Spans]) -> None:
    for place, spans in enumerate(slept, start=1):
        gaps = [after[0] - before[1] for before, after in pairwise(spans)]
        told = f"{sum(gaps):.2f} s in {len(gaps)} gaps, {max(gaps, default=0.0):.3f} s at most"
        _say(f"worker {place} waited", told)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "parts", nargs="*", choices=["all", "cells", "tracked", "efficiency", "uneven"], default="all"
    )
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=4, help="logical nodes, of one CPU each")
    parser.add_argument("--tracked-cells", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a task")
    return parser.parse_args()


def _cells_text(n: int, generations: int) -> str:
    """A sweep of n cells: all pairs of n_s and λ."""
    n_biases = min(n, 100)
    biases = [round(1 - place / n_biases, 6) for place in range(n_biases)]
    return CELLS.format(generations=generations, n_s=list(range(1, 1 + -(-n // n_biases))), biases=biases)


def _prepared(text: str, store: Store) -> Prepared:
    return prepare(parse_sweep(text, name="bench"), store=store, data=None)


def _pure_seconds(generations: int, n: int) -> float:
    """What the orders of n cells take in one process that stores nothing, going by some of them."""
    sampled = min(n, SAMPLED_CELLS)
    with tempfile.TemporaryDirectory() as folder, limited_threads(1):
        store = Store.open(folder)
        prepared = _prepared(_cells_text(sampled, generations), store)
        maker = Maker(Batch(store))
        started = time.perf_counter()
        for segment in prepared.plan.segments:
            for order in segment.orders:
                maker.make(order, lambda phase, done, total: None)
        return (time.perf_counter() - started) * n / sampled


def _command_seconds(command: str, store: Store) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "madray", command, "scale", "--store", store.uri],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started


@contextmanager
def _nodes(variables: Sequence[dict[str, str]]) -> Iterator[None]:
    """A Ray cluster with a node of one logical CPU for each of these environments, and a head without one."""
    shown = {"include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **shown})
    try:
        for each in variables:
            cluster.add_node(num_cpus=1, num_gpus=0, env_vars=each or None)
        cluster.wait_for_nodes()
        path = os.pathsep.join(filter(None, [str(BENCH), os.environ.get("PYTHONPATH", "")]))
        ray.init(
            address=cluster.address,
            log_to_driver=False,
            runtime_env={"env_vars": {**thread_variables(1), "PYTHONPATH": path}},
        )
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def _say(what: str, told: str) -> None:
    print(f"{what:32} {told}", flush=True)


if __name__ == "__main__":
    main()
