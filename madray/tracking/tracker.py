"""The thread that follows a sweep's ledger and writes it to MLflow, whatever MLflow does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from madray.ledger import ChainRecord, Row, SweepRecord
from madray.tracking.client import is_refusal, reason, settle
from madray.tracking.runs import Runs, State
from madray.tracking.uris import shown
from madray.tracking.view import view_of

_SECONDS_BETWEEN = 2.0
_LAST_TRIES = 3

End = tuple[Mapping[str, State], Mapping[str, bytes]]


class Tracker:
    """Follows one run of a sweep. Never raises into it, and never makes it wait before its end.

    What MLflow does not take is written when it does, at the latest by the tracker of the next run.

    Args:
        uri: of MLflow's server or database, checked by `check_uri`.
        record: the sweep; rows that it does not speak of are passed over.
        picture: gives the PNG of a row's picture by its key, or None where there is none; called from the
            tracker's thread.

    >>> from madray.ledger import SweepRecord
    >>> import tempfile
    >>> record = SweepRecord("empty", created=0.0, text="", content={}, columns=[], floors={}, chains=[])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tracker = Tracker(f"sqlite:///{folder}/mlflow.db", record, picture=lambda key: None)
    ...     tracker.start()
    ...     tracker.follow([])
    ...     tracker.finish({}, {"sweep.yaml": b"name: empty"}, wait_seconds=60)
    []
    """

    def __init__(self, uri: str, record: SweepRecord, picture: Callable[[str], bytes | None]) -> None:
        self._uri = uri
        self._view = view_of(record)
        self._picture = picture
        self._chains = {chain.id: chain for chain in self._view.record.chains}
        self._thread = threading.Thread(target=self._work, name="madray-mlflow", daemon=True)
        self._changed = threading.Condition()
        # Guarded by `_changed`, as two threads use them:
        self._waiting: dict[str, dict[int, Row]] = {}
        self._end: End | None = None
        self._given_up = False
        # What stands in the way, for the notes:
        self._trouble = ""
        self._refused: dict[str, str] = {}
        self._closed = False

    def start(self) -> None:
        """Begin to follow; MLflow is imported in the tracker's own thread."""
        self._thread.start()

    def follow(self, rows: Sequence[Row]) -> None:
        """Take rows to be written, any number of times the same ones; returns at once."""
        with self._changed:
            for row in self._view.rows(rows):
                chain = self._chains.get(row.chain)
                if chain is not None and tuple(chain.rows[row.t - 1 : row.t]) == (row.key,):
                    self._waiting.setdefault(row.chain, {})[row.t] = row

    def finish(
        self, states: Mapping[str, State], artifacts: Mapping[str, bytes], wait_seconds: float
    ) -> list[str]:
        """Write what is left, say how each chain ended, and leave files with the sweep's run.

        Args:
            states: by the chain's id; a chain that is not there is another driver's.
            artifacts: files by name.
            wait_seconds: how long MLflow may take for it.

        Returns: sentences about what could not be written; none when all is well.
        """
        with self._changed:
            self._end = (self._view.states(states), artifacts)
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(wait_seconds)
        with self._changed:
            self._given_up = True
            return self._notes(wait_seconds)

    # The thread

    def _work(self) -> None:
        runs: Runs | None = None
        tries = 0
        while not self._given_up:
            end = self._end
            if end is not None:
                tries += 1
                if self._refused:
                    self._refused.clear()
                    runs = None  # what was refused is tried once more, on what is there by now
            try:
                runs = runs or Runs(self._uri, self._view.record)
                self._flush(runs)
                if end is not None:
                    self._close(runs, *end)
                self._trouble = ""
            except Exception as error:
                # Whatever it is, the sweep goes on. What MLflow holds by now is read anew.
                runs = None
                self._trouble = reason(error, self._uri)
            if end is not None and (self._closed or tries == _LAST_TRIES):
                break
            self._pause(end)
        settle(self._uri)

    def _pause(self, end: End | None) -> None:
        """Wait a little, or until the end comes, if it has not."""
        with self._changed:
            self._changed.wait_for(lambda: self._end is not end or self._given_up, _SECONDS_BETWEEN)

    def _flush(self, runs: Runs) -> None:
        with self._changed:
            waiting = {id_: list(rows.values()) for id_, rows in self._waiting.items()}
        for id_, rows in waiting.items():
            if self._given_up:
                return
            if id_ not in self._refused:
                with self._refusals(id_):
                    self._write(runs, self._chains[id_], rows)

    def _write(self, runs: Runs, chain: ChainRecord, rows: Sequence[Row]) -> None:
        missing = sorted(runs.missing(chain, rows), key=lambda row: row.t)
        pictures = self._pictures(missing)
        if missing:
            runs.write(chain, missing, pictures)
        # A row whose picture is still to be made, as another driver died over it, waits for that.
        unseen = {row.t for row in missing} - pictures.keys()
        done = {row.t: row for row in rows if row.t not in unseen}
        with self._changed:
            left = {t: row for t, row in self._waiting.pop(chain.id).items() if done.get(t) is not row}
            if left:
                self._waiting[chain.id] = left

    def _pictures(self, rows: Sequence[Row]) -> dict[int, bytes | None]:
        """The picture of each row; a row whose picture cannot be had now is left out, and tried again."""
        pictures: dict[int, bytes | None] = {}
        for row in rows:
            try:
                pictures[row.t] = self._picture(row.picture) if row.picture else None
            except Exception:
                continue  # the store says what is wrong with it, and it will be made again
        return pictures

    def _close(self, runs: Runs, states: Mapping[str, State], artifacts: Mapping[str, bytes]) -> None:
        runs.look_again()
        for id_, state in states.items():
            if self._given_up:
                return
            with self._refusals(id_):
                runs.close(self._chains[id_], state)
        runs.close_sweep(states.values(), artifacts)
        self._closed = True

    @contextmanager
    def _refusals(self, chain: str) -> Iterator[None]:
        """Pass over a chain that MLflow answers no to; others may fare better."""
        try:
            yield
        except Exception as error:
            if not is_refusal(error):
                raise
            self._refused[chain] = reason(error, self._uri)

    def _notes(self, wait_seconds: float) -> list[str]:
        where = shown(self._uri)
        notes = []
        if self._refused:
            n, why = len(self._refused), next(iter(self._refused.values()))
            chains = "1 chain" if n == 1 else f"{n} chains"
            notes.append(f"MLflow at {where} refused {chains} ({why}); the next run tries again")
        if not self._closed:
            points = sum(len(row.numbers) for rows in self._waiting.values() for row in rows.values())
            why = self._trouble or f"not done within {wait_seconds:g} s"
            lacks = f"what it lacks of {points} points" if points else "what it lacks"
            failed = "did not answer" if self._uri.startswith("http") else "could not be written"
            notes.append(f"MLflow at {where} {failed} ({why}); {lacks} is written on the next run")
        return notes
