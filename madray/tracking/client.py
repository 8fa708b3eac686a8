"""MLflow's client, opened so that it is quiet, gives up soon and reports nothing home."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from madray.tracking.uris import sqlite_file, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Otherwise an absent server holds up the end of a sweep for minutes; the tracker tries again itself.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_REFUSALS = (400, 404, 409)

_LOCK_SECONDS = 120.0

_ONE_AT_A_TIME = threading.Lock()
"""Connecting turns what is global to the process."""


def connect(uri: str) -> MlflowClient:
    """A client of the tracking server or database; imports MLflow.

    Raises: whatever MLflow raises where it cannot connect.
    """
    with _ONE_AT_A_TIME:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow

        if "MLFLOW_LOGGING_LEVEL" not in os.environ:
            for name in ("mlflow", "alembic", "sqlalchemy", "urllib3.connectionpool"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
        if (file := sqlite_file(uri)) is not None:
            _make_database(file)
        elif uri.startswith("http"):
            # Early 3.x sends a run's files to the global server, whatever the client's own is. Setting that
            # also sets the variable, which is the user's word and stays as it was.
            told = os.environ.get("MLFLOW_TRACKING_URI")
            mlflow.set_tracking_uri(uri)
            os.environ.pop("MLFLOW_TRACKING_URI", None)
            if told is not None:
                os.environ["MLFLOW_TRACKING_URI"] = told
        with _without_information(), _alone_with(file):
            return mlflow.MlflowClient(uri)


@contextmanager
def _alone_with(file: Path | None) -> Iterator[None]:
    """Let no other process open a database meanwhile: two drivers that make its tables at once would leave
    one that nobody can use. The lock is SQLite's own, on a file beside, and goes with who holds it."""
    with ExitStack() as held:
        if file is not None:
            with suppress(sqlite3.Error):  # a folder that knows no locks, or one that is held for very long
                lock = sqlite3.connect(f"{file}-lock", timeout=_LOCK_SECONDS, isolation_level=None)
                held.enter_context(closing(lock))
                lock.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def _without_information() -> Iterator[None]:
    """Drop what is logged as mere information; early 3.x turns it up itself while it makes a database."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)


def _make_database(file: Path) -> None:
    """Make a new database with a write-ahead log, which halves what MLflow's many small commits cost.

    Processes that read it meanwhile, as the UI does, do not wait for them either.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode=WAL")


def settle(uri: str) -> None:
    """Move what stands in a database's log into its file, so that it can be copied alone."""
    file = sqlite_file(uri)
    if file is not None and file.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def is_refusal(error: Exception) -> bool:
    """Whether MLflow answered, but will not have this: it is no use to ask for the same at once again."""
    status = getattr(error, "get_http_status_code", None)
    return status is not None and status() in _REFUSALS


@contextmanager
def passing_over_refusals() -> Iterator[None]:
    """For what need not be: another driver of the same sweep may have done it already, or the opposite."""
    try:
        yield
    except Exception as error:
        if not is_refusal(error):
            raise


def reason(error: BaseException, uri: str) -> str:
    """Why, in one short line without secrets: what was at the root of an error."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    lines = without_secrets(str(error), uri).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")
