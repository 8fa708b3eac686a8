"""Strikes in several worlds at a time, each a process with a cluster, an MLflow server and an S3 server of its own."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty

from faults.checks import undisturbed
from faults.schedule import Planned
from faults.strikes import Verdict, strike
from faults.world import world

_LOOK_SECONDS = 1.0


def struck(planned: Sequence[Planned], *, worlds: int) -> Iterator[Verdict]:
    """The verdict of each strike as it comes; fewer than were planned where a world itself came to an end."""
    context = multiprocessing.get_context("spawn")
    to_do: Queue[Planned | None] = context.Queue()
    done: Queue[Verdict] = context.Queue()
    for each in [*planned, *[None] * worlds]:
        to_do.put(each)
    signal.signal(signal.SIGTERM, _leave)
    processes = [context.Process(target=_in_a_world, args=(to_do, done)) for _ in range(worlds)]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            yield from _come(done, seconds=_LOOK_SECONDS)
        yield from _come(done, seconds=_LOOK_SECONDS)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _come(done: Queue[Verdict], *, seconds: float) -> Iterator[Verdict]:
    try:
        while True:
            yield done.get(timeout=seconds)
    except Empty:
        return


def _in_a_world(to_do: Queue[Planned | None], done: Queue[Verdict]) -> None:
    with world() as place:
        # Who is told to leave, leaves nothing behind. Ray has set a handler of its own by now.
        signal.signal(signal.SIGTERM, _leave)
        expected = undisturbed(place)
        while (planned := to_do.get()) is not None:
            if place.make_free():
                told = "Ray lost a CPU of its cluster; strike {} is in another one"
                print(told.format(planned.number), file=sys.stderr, flush=True)
            verdict = strike(place, planned, expected)
            if verdict.outcome == "broken":
                kept = Path(tempfile.mkdtemp(prefix="faults-broken-"))
                for folder in place.folder.glob(f"strike{planned.number}-*"):
                    shutil.copytree(folder, kept / folder.name, symlinks=True)
                verdict.problems.append(f"what it left: {kept}")
            done.put(verdict)


def _leave(number: int, frame: object) -> None:
    sys.exit(128 + number)
