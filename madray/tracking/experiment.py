"""An MLflow experiment: its runs as they are found, begun once, and written to.

Several drivers may write one sweep at once, and MLflow does not keep them from beginning a run each of the
same thing. Of such runs the first counts, and what is in the others is put into it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from madray.ledger import ChainRecord, SweepRecord
from madray.tracking.client import connect, passing_over_refusals
from madray.tracking.marks import BEGUN, SWEEP, WRITTEN, vouched
from madray.tracking.uris import artifact_location

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Spares the UI asking whether training runs or language models are meant."""

_METRICS_A_CALL = 800
_LONGEST_NAME = 250


@dataclass
class HeldRun:
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


class Experiment:
    """The experiment of one sweep. Any call may raise what MLflow raises."""

    def __init__(self, uri: str, record: SweepRecord) -> None:
        self._name = record.name
        self._created_ms = int(record.created * 1000)
        self._client = connect(uri)
        self._id = self._find_experiment(uri)

    def find(self, condition: str = "") -> Iterator[Run]:
        """All runs of the sweep, or those of which this holds as well."""
        condition = f"tags.`{SWEEP}` = '{self._name}'{condition}"
        token = None
        while True:
            page = self._client.search_runs([self._id], condition, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def begin_once(
        self, name: str, ms_before: int, tags: Mapping[str, str], alike: Iterable[HeldRun]
    ) -> HeldRun:
        """A new run, or what another driver began of the same at the same moment.

        Args:
            alike: all runs of the same thing; looked through when the new one is there.
        """
        made = self._create(name, ms_before, {**tags, BEGUN: f"{time.time_ns():020d}"})
        return self.merged([made, *(run for run in alike if run.id != made.id)])

    def merged(self, alike: Iterable[HeldRun]) -> HeldRun:
        """The first of several runs of one thing; the others go, and what they hold is put into it.

        The first is one that is settled, or else the one that was begun first, whoever asks.
        """
        first, *others = sorted(alike, key=lambda run: (run.tags.get(BEGUN, ""), run.id))
        for other in others:
            with passing_over_refusals():
                self._take_over(first, other.id)
        return first

    def settle(self, run: HeldRun) -> None:
        """Have a run be the first from now on, also before one that says that it was begun before."""
        if BEGUN in run.tags:
            with passing_over_refusals():
                self._client.delete_tag(run.id, BEGUN)
            del run.tags[BEGUN]

    def set_tag(self, run: HeldRun, name: str, value: str) -> None:
        """Give a run a tag, if it has it not."""
        if run.tags.get(name) != value:
            self._client.set_tag(run.id, name, value)
            run.tags[name] = value

    def set_status(self, run: HeldRun, status: str) -> None:
        """Say how a run stands, if that is not said yet."""
        if run.status == status:
            return
        if status == "RUNNING":
            self._client.update_run(run.id, status=status)
        else:
            self._client.set_terminated(run.id, status)
        run.status = status

    def new(self, run: HeldRun, points: Sequence[Metric], names: Collection[str]) -> list[Metric]:
        """Points but for those of these names that the run has."""
        there = {
            (point.key, point.step)
            for name in sorted(names)
            for point in self._client.get_metric_history(run.id, name)
        }
        return [point for point in points if (point.key, point.step) not in there]

    def log(
        self, run: HeldRun, points: Sequence[Metric], parameters: Mapping[str, str], tags: Mapping[str, str]
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

    def upload(self, run: HeldRun, files: Mapping[str, bytes], folder: str | None = None) -> None:
        """Leave files, by name, with a run."""
        with tempfile.TemporaryDirectory(prefix="madray-mlflow-") as root:
            for name, data in files.items():
                path = Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._client.log_artifacts(run.id, root, folder)

    def _find_experiment(self, uri: str) -> str:
        name = self._name
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name, artifact_location(uri, name), tags=_TAGS)
            except Exception:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
                # Another driver of the same sweep was first.
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)  # its name cannot be given to another
        return found.experiment_id

    def _create(self, name: str, ms_before: int, tags: Mapping[str, str]) -> HeldRun:
        tags = {SWEEP: self._name, **tags}
        began_ms = self._created_ms - ms_before
        made = self._client.create_run(
            self._id, start_time=began_ms, tags=tags, run_name=name[:_LONGEST_NAME]
        )
        return HeldRun(made.info.run_id, began_ms, "RUNNING", dict(tags), set(), set(), fresh=True)

    def _take_over(self, first: HeldRun, other: str) -> None:
        """Delete a run, and put its points into the first.

        Pictures are not copied: they are written again by whoever knows the rows.
        """
        from mlflow.entities import Metric

        self._client.delete_run(other)  # so that nobody writes to it any more
        points = [
            Metric(name, point.value, first.timestamp_ms(point.step), point.step)
            for name in sorted(self._client.get_run(other).data.metrics)
            for point in self._client.get_metric_history(other, name)
        ]
        if points:
            first.fresh = False
            self.log(first, self.new(first, points, {point.key for point in points}), {}, {})


def found_run(run: Run, chain: ChainRecord | None) -> HeldRun:
    """A run as it was found, which is of this chain, if of any."""
    return HeldRun(
        id=run.info.run_id,
        began_ms=run.info.start_time,
        status=run.info.status,
        tags=dict(run.data.tags),
        parameters=set(run.data.params),
        written=set() if chain is None else vouched(chain, run.data.tags.get(WRITTEN, "")),
        fresh=False,
    )
