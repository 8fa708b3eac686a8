"""What MLflow holds of a sweep, and how it is made to agree with the ledger.

What was written stands in MLflow itself, as tags, so that nothing need be remembered elsewhere: each chain's
run says how many rows it has from t = 1 on and their digest. Whatever a run does not vouch for is written
again; that adds nothing, because points carry the time of the run's beginning plus t, and pictures are
files named by their keys.

Several drivers may write one sweep at once. Each looks for runs that another began of the same chain: when it
opens what is there, right after it began one itself, and once more at its end.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Literal

from madray.keys import digest
from madray.ledger import ChainRecord, Row, SweepRecord
from madray.spec.reading import label, plain
from madray.tracking import images
from madray.tracking.experiment import Experiment, HeldRun, found_run
from madray.tracking.marks import (
    ARTIFACTS,
    CHAIN,
    FIRST,
    PARENT,
    POSITIONS,
    WRITTEN,
    first_generation,
    goes_on,
    vouch,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric

State = Literal["finished", "failed", "stopped"]
"""How a chain ended."""

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_LONGEST_NAME = 250
_LONGEST_VALUE = 500


class Runs:
    """The runs of one sweep. For one thread; any call may raise what MLflow raises.

    After an error what is known of the runs may be wrong: open them anew.
    """

    def __init__(self, uri: str, record: SweepRecord) -> None:
        self._record = record
        self._place = {chain.id: place for place, chain in enumerate(record.chains)}
        self._experiment = Experiment(uri, record)
        self._parent: HeldRun | None = None
        self._chains: dict[str, HeldRun] = {}
        self._others: list[HeldRun] = []
        self._find_runs()

    def missing(self, chain: ChainRecord, rows: Iterable[Row]) -> list[Row]:
        """Those of a chain's rows that MLflow is not known to hold."""
        run = self._chains.get(chain.id)
        return [row for row in rows if run is None or row.t not in run.written]

    def write(self, chain: ChainRecord, rows: Sequence[Row], pictures: Mapping[int, bytes | None]) -> None:
        """Write rows of a chain, its settings where they are missing, and pictures.

        Args:
            pictures: PNGs by t; None for a generation that has none. A row whose t is not in it is written,
                but not counted as written, so that it is looked at again next time.
        """
        run = self._begin(chain)
        files = {
            name: data
            for row in rows
            if (png := pictures.get(row.t)) is not None
            for name, data in images.image_files(
                png, key=row.picture, t=row.t, timestamp_ms=run.timestamp_ms(row.t)
            ).items()
        }
        if files:
            self._experiment.upload(run, files, images.FOLDER)
        points = self._points(run, rows)
        written = run.written | {row.t for row in rows if row.t in pictures}
        tags = (
            {WRITTEN: vouch(chain, written)}
            | ({images.TAG: "True"} if files else {})
            | self._positions(chain)
        )
        self._experiment.log(run, points, _parameters(chain), tags)
        run.written = written
        if len(run.written) == len(chain.rows):
            self._experiment.set_status(run, "FINISHED")

    def look_again(self) -> None:
        """Find out whether what was begun here was begun elsewhere as well, at the very same moment."""
        known = (self._parent, *self._chains.values())
        if any(run is not None and run.fresh for run in known):
            self._find_runs()

    def close(self, chain: ChainRecord, state: State) -> None:
        """Say how a chain ended. One that ended before its first row has a run only if it failed."""
        if chain.id not in self._chains and state == "failed":
            self.write(chain, [], {})
        if chain.id in self._chains:
            self._experiment.set_status(self._chains[chain.id], _STATUS[state])

    def close_sweep(self, states: Iterable[State], artifacts: Mapping[str, bytes]) -> None:
        """Say how the sweep ended, and leave files with it; no run of it is left running."""
        for run in self._others:
            if run.status == "RUNNING":
                self._experiment.set_status(run, "KILLED")  # of a chain that the sweep no longer has
        parent = self._begin_sweep()
        held = digest({name: hashlib.sha256(data).hexdigest() for name, data in artifacts.items()})
        if parent.tags.get(ARTIFACTS) != held:
            self._experiment.upload(parent, artifacts)
            self._experiment.log(parent, [], {}, {ARTIFACTS: held})
        self._experiment.set_status(parent, _STATUS[worst(states)])

    # What is there

    def _find_runs(self) -> None:
        chains = {chain.id: chain for chain in self._record.chains}
        self._others = []
        alike: dict[str | None, list[HeldRun]] = defaultdict(list)
        for found in self._experiment.find():
            name = found.data.tags.get(CHAIN)
            chain = None if name is None else chains.get(name)
            run = found_run(found, chain)
            if name is None or (chain is not None and goes_on(chain, run.tags)):
                alike[name].append(run)
            else:
                self._others.append(run)
        whole = {name: self._experiment.merged(runs) for name, runs in alike.items()}
        self._parent = whole.pop(None, None)
        self._chains = {name: run for name, run in whole.items() if name is not None}
        if self._parent is not None:  # which may be another than when they were begun
            for run in (*self._chains.values(), *self._others):
                self._experiment.set_tag(run, PARENT, self._parent.id)

    # What is written

    def _begin_sweep(self) -> HeldRun:
        if self._parent is None:
            others = (found_run(run, None) for run in self._experiment.find() if CHAIN not in run.data.tags)
            self._parent = self._experiment.begin_once(self._record.name, 0, {}, others)
        self._experiment.settle(self._parent)
        return self._parent

    def _begin(self, chain: ChainRecord) -> HeldRun:
        """The run of a chain that goes on, under a sweep that goes on."""
        parent = self._begin_sweep()
        self._experiment.set_status(parent, "RUNNING")
        if chain.id not in self._chains:
            name = f"{label(chain.point)}, " if chain.point else ""
            tags = {
                CHAIN: chain.id,
                FIRST: first_generation(chain),
                PARENT: parent.id,
                **self._positions(chain),
            }
            # The UI lists the latest first, so that the first chain begins last.
            before = 1 + self._place[chain.id]
            self._chains[chain.id] = self._experiment.begin_once(
                f"{name}seed={chain.seed}", before, tags, self._alike(chain)
            )
        run = self._chains[chain.id]
        self._experiment.settle(run)
        if len(run.written) < len(chain.rows):
            self._experiment.set_status(run, "RUNNING")
        return run

    def _alike(self, chain: ChainRecord) -> Iterable[HeldRun]:
        """The runs of a chain, found when they are looked through."""
        for found in self._experiment.find(f" AND tags.`{CHAIN}` = '{chain.id}'"):
            if goes_on(chain, found.data.tags):
                yield found_run(found, chain)

    def _positions(self, chain: ChainRecord) -> dict[str, str]:
        """Says which cells stand at which steps, where these are positions along a grid."""
        along_a_grid = self._record.row == "calculation"
        return {POSITIONS: vouch(chain, set(range(1, len(chain.rows) + 1)))} if along_a_grid else {}

    def _points(self, run: HeldRun, rows: Sequence[Row]) -> list[Metric]:
        from mlflow.entities import Metric

        points = [
            Metric(_name(name), float(value), run.timestamp_ms(row.t), row.t)
            for row in rows
            for name, value in row.numbers.items()
        ]
        # A point that is there already is passed over by MLflow, but early 3.x fails on one that is NaN.
        unsure = set() if run.fresh else {point.key for point in points if isnan(point.value)}
        return self._experiment.new(run, points, unsure)


def worst(states: Iterable[State]) -> State:
    """How a whole ended whose parts ended so."""
    told = set(states)
    return "failed" if "failed" in told else "stopped" if "stopped" in told else "finished"


def _parameters(chain: ChainRecord) -> dict[str, str]:
    return {
        _name(name): plain(value)[:_LONGEST_VALUE]
        for name, value in chain.parameters.items()
        if value is not None
    }


def _name(name: str) -> str:
    """A name with the characters that MLflow takes."""
    return re.sub(r"[^/\w.\- ]", "_", name)[:_LONGEST_NAME]
