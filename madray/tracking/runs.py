"""What MLflow holds of a sweep, and how it is made to agree with the ledger.

What was written stands in MLflow itself, as tags, so that nothing need be remembered elsewhere: each chain's
run says how many rows it has from t = 1 on and their digest. Whatever a run does not vouch for is written
again; that adds nothing, because points carry the time of the run's beginning plus t, and pictures are
files named by their keys.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from madray.keys import digest
from madray.ledger import ChainRecord, Row, SweepRecord
from madray.spec.reading import label, plain
from madray.tracking import images
from madray.tracking.client import connect
from madray.tracking.uris import artifact_location

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

State = Literal["finished", "failed", "stopped"]
"""How a chain ended."""

SWEEP = "madray.sweep"
CHAIN = "madray.chain"
BEGUN = "madray.begun"
FIRST = "madray.first_generation"
POSITIONS = "madray.positions"
WRITTEN = "madray.written"
ARTIFACTS = "madray.artifacts"
_PARENT = "mlflow.parentRunId"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Spares the UI asking whether training runs or language models are meant."""

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_METRICS_A_CALL = 800
_LONGEST_NAME = 250
_LONGEST_VALUE = 500


@dataclass
class _Run:
    """A run as MLflow holds it.

    Attributes:
        written: the t of the rows that are known to be in it.
        fresh: whether it was begun here, so that nothing can be in it that is not in `written`.
    """

    id: str
    began_ms: int
    status: str
    tags: dict[str, str]
    parameters: set[str]
    written: set[int]
    fresh: bool

    def timestamp_ms(self, t: int) -> int:
        """When a generation is said to have been: the same however often it is written."""
        return self.began_ms + 1000 * t


class Runs:
    """The runs of one sweep. For one thread; any call may raise what MLflow raises.

    After an error what is known of the runs may be wrong: open them anew.
    """

    def __init__(self, uri: str, record: SweepRecord) -> None:
        self._record = record
        self._place = {chain.id: place for place, chain in enumerate(record.chains)}
        self._client = connect(uri)
        self._experiment = self._find_experiment(uri)
        self._parent: _Run | None = None
        self._chains: dict[str, _Run] = {}
        self._others: list[_Run] = []
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
            self._upload(run, files, images.FOLDER)
        points = self._points(run, rows)
        written = run.written | {row.t for row in rows if row.t in pictures}
        tags = (
            {WRITTEN: _vouch(chain, written)}
            | ({images.TAG: "True"} if files else {})
            | self._positions(chain)
        )
        self._log(run, points, _parameters(chain), tags)
        run.written = written
        if len(run.written) == len(chain.rows):
            self._set_status(run, "FINISHED")

    def close(self, chain: ChainRecord, state: State) -> None:
        """Say how a chain ended. One that ended before its first row has a run only if it failed."""
        if chain.id not in self._chains and state == "failed":
            self.write(chain, [], {})
        if chain.id in self._chains:
            self._set_status(self._chains[chain.id], _STATUS[state])

    def close_sweep(self, states: Iterable[State], artifacts: Mapping[str, bytes]) -> None:
        """Say how the sweep ended, and leave files with it; no run of it is left running."""
        for run in self._others:
            if run.status == "RUNNING":
                self._set_status(run, "KILLED")  # of a chain that the sweep no longer has
        parent = self._parent or self._begin_sweep()
        held = digest({name: hashlib.sha256(data).hexdigest() for name, data in artifacts.items()})
        if parent.tags.get(ARTIFACTS) != held:
            self._upload(parent, artifacts)
            self._log(parent, [], {}, {ARTIFACTS: held})
        self._set_status(parent, _STATUS[worst(states)])

    # What is there

    def _find_experiment(self, uri: str) -> str:
        name = self._record.name
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(
                    name, artifact_location(uri, name), tags=_EXPERIMENT_TAGS
                )
            except Exception:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
                # Another driver of the same sweep was first.
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)  # its name cannot be given to another
        return found.experiment_id

    def _find_runs(self) -> None:
        chains = {chain.id: chain for chain in self._record.chains}
        for found in self._all():
            tags = found.data.tags
            chain = chains.get(tags.get(CHAIN, ""))
            run = _found(found, set() if chain is None else _vouched(chain, tags.get(WRITTEN, "")))
            if CHAIN not in tags and self._parent is None:
                self._parent = run
            elif chain is not None and _goes_on(chain, tags) and chain.id not in self._chains:
                self._chains[chain.id] = run
            else:
                self._others.append(run)

    def _parents(self) -> list[_Run]:
        return [_found(run, set()) for run in self._all() if CHAIN not in run.data.tags]

    def _all(self) -> Iterable[Run]:
        """All runs of the sweep."""
        condition = f"tags.`{SWEEP}` = '{self._record.name}'"
        token = None
        while True:
            page = self._client.search_runs([self._experiment], condition, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    # What is written

    def _begin_sweep(self) -> _Run:
        if self._parent is None:
            made = self._create(self._record.name, 0, {BEGUN: f"{time.time_ns():020d}"})
            # Another driver of the same sweep may have made one at the same moment. The first one counts: one
            # that is settled already, or that was begun before.
            first = min(self._parents(), key=lambda run: (run.tags.get(BEGUN, ""), run.id), default=made)
            if first.id == made.id:
                self._client.delete_tag(made.id, BEGUN)
                del made.tags[BEGUN]
                self._parent = made
            else:
                self._client.delete_run(made.id)
                self._parent = first
        return self._parent

    def _begin(self, chain: ChainRecord) -> _Run:
        """The run of a chain that goes on, under a sweep that goes on."""
        parent = self._begin_sweep()
        self._set_status(parent, "RUNNING")
        if chain.id not in self._chains:
            name = f"{label(chain.point)}, " if chain.point else ""
            tags = {CHAIN: chain.id, FIRST: _first(chain), _PARENT: parent.id, **self._positions(chain)}
            # The UI lists the latest first, so that the first chain begins last.
            before = 1 + self._place[chain.id]
            self._chains[chain.id] = self._create(f"{name}seed={chain.seed}", before, tags)
        run = self._chains[chain.id]
        if len(run.written) < len(chain.rows):
            self._set_status(run, "RUNNING")
        return run

    def _positions(self, chain: ChainRecord) -> dict[str, str]:
        """Says which cells stand at which steps, where these are positions along a grid."""
        along_a_grid = self._record.row == "calculation"
        return {POSITIONS: _vouch(chain, set(range(1, len(chain.rows) + 1)))} if along_a_grid else {}

    def _create(self, name: str, ms_before: int, tags: Mapping[str, str]) -> _Run:
        tags = {SWEEP: self._record.name, **tags}
        began_ms = int(self._record.created * 1000) - ms_before
        made = self._client.create_run(
            self._experiment, start_time=began_ms, tags=tags, run_name=name[:_LONGEST_NAME]
        )
        return _Run(made.info.run_id, began_ms, "RUNNING", dict(tags), set(), set(), fresh=True)

    def _set_status(self, run: _Run, status: str) -> None:
        if run.status == status:
            return
        if status == "RUNNING":
            self._client.update_run(run.id, status=status)
        else:
            self._client.set_terminated(run.id, status)
        run.status = status

    def _points(self, run: _Run, rows: Sequence[Row]) -> list[Metric]:
        from mlflow.entities import Metric

        points = [
            Metric(_name(name), float(value), run.timestamp_ms(row.t), row.t)
            for row in rows
            for name, value in row.numbers.items()
        ]
        if run.fresh:
            return points
        # A point that is there already is passed over by MLflow, but early 3.x fails on one that is NaN.
        unknown = {point.key for point in points if isnan(point.value)}
        there = {
            (point.key, point.step)
            for key in sorted(unknown)
            for point in self._client.get_metric_history(run.id, key)
        }
        return [point for point in points if (point.key, point.step) not in there]

    def _log(
        self, run: _Run, points: Sequence[Metric], parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """Write points, then what vouches for them; settings and tags that are there are left alone."""
        from mlflow.entities import Param, RunTag

        new = {name: value for name, value in parameters.items() if name not in run.parameters}
        other = {name: value for name, value in tags.items() if run.tags.get(name) != value}
        rest = iter(points)
        while True:
            batch = list(islice(rest, _METRICS_A_CALL))
            last = len(batch) < _METRICS_A_CALL
            self._client.log_batch(
                run.id,
                metrics=batch,
                params=[Param(name, value) for name, value in new.items()] if last else [],
                tags=[RunTag(name, value) for name, value in other.items()] if last else [],
            )
            if last:
                break
        run.parameters |= new.keys()
        run.tags |= other

    def _upload(self, run: _Run, files: Mapping[str, bytes], folder: str | None = None) -> None:
        with tempfile.TemporaryDirectory(prefix="madray-mlflow-") as root:
            for name, data in files.items():
                path = Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._client.log_artifacts(run.id, root, folder)


def _found(run: Run, written: set[int]) -> _Run:
    return _Run(
        id=run.info.run_id,
        began_ms=run.info.start_time,
        status=run.info.status,
        tags=dict(run.data.tags),
        parameters=set(run.data.params),
        written=written,
        fresh=False,
    )


def worst(states: Iterable[State]) -> State:
    """How a whole ended whose parts ended so."""
    told = set(states)
    return "failed" if "failed" in told else "stopped" if "stopped" in told else "finished"


def _goes_on(chain: ChainRecord, tags: Mapping[str, str]) -> bool:
    """Whether a run with these tags holds nothing that is not this chain's.

    Generations keep their steps. Positions along a grid move when a value comes between two others.
    """
    moved = POSITIONS in tags and not _vouched(chain, tags[POSITIONS])
    return tags.get(FIRST) == _first(chain) and not moved


def _first(chain: ChainRecord) -> str:
    # The chain's id names its settings; the data that they stand for may have changed, this says.
    return chain.generations[0]


def _vouch(chain: ChainRecord, written: set[int]) -> str:
    """Says which rows a run holds: all from t = 1 to where the first is missing."""
    n = next(t for t in count(1) if t not in written) - 1
    return f"{n} {digest(list(chain.rows[:n]))[:16]}"


def _vouched(chain: ChainRecord, tag: str) -> set[int]:
    """The t of the rows that such a tag speaks of; none, if it speaks of other rows."""
    n, _, _ = tag.partition(" ")
    if not n.isdecimal() or int(n) > len(chain.rows):
        return set()
    rows = set(range(1, int(n) + 1))
    return rows if tag == _vouch(chain, rows) else set()


def _parameters(chain: ChainRecord) -> dict[str, str]:
    return {
        _name(name): plain(value)[:_LONGEST_VALUE]
        for name, value in chain.parameters.items()
        if value is not None
    }


def _name(name: str) -> str:
    """A name with the characters that MLflow takes."""
    return re.sub(r"[^/\w.\- ]", "_", name)[:_LONGEST_NAME]
