"""Where MLflow's data lies: which URI is meant, whether it can be written, how a person opens it."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from madray.errors import BadInput

_DRIVERS = {"postgresql": "psycopg2", "mysql": "MySQLdb", "mssql": "pyodbc"}
"""Databases that MLflow writes itself, and the module that each needs where its URI names no other."""


def default_uri(store_folder: Path | None) -> str | None:
    """MLFLOW_TRACKING_URI where it is set, else SQLite beside a local store, else None: no tracking.

    >>> default_uri(Path("/data/store")) if "MLFLOW_TRACKING_URI" not in os.environ else None
    'sqlite:////data/store/mlflow.db'
    """
    told = os.environ.get("MLFLOW_TRACKING_URI")
    if told:
        return told
    return None if store_folder is None else f"sqlite:///{store_folder.as_posix()}/mlflow.db"


def check_uri(uri: str) -> None:
    """Refuse what MLflow cannot write to. A server that does not answer is not refused: it may come back.

    Raises: BadInput, in one line.

    >>> check_uri("http://localhost:5000")
    """
    scheme, colon, _ = uri.partition(":")
    database, _, driver = scheme.partition("+")
    if scheme == "file" or not (colon or uri == "databricks"):
        folder = urlsplit(uri).path.rstrip("/") or "."
        raise _refusal(
            f"{_EXPECTED}, got {uri or 'nothing'} (MLflow no longer writes plain folders)",
            f"sqlite:///{folder}/mlflow.db",
        )
    if database == "sqlite":
        _check_sqlite(uri)
    elif database in _DRIVERS:
        module = {"": _DRIVERS[database], "mysqldb": "MySQLdb"}.get(driver, driver)
        if find_spec(module) is None:
            raise _refusal(
                f"a database whose driver is installed, got {shown(uri)} without {module}", "SQLite"
            )
    elif scheme in ("http", "https"):
        if not urlsplit(uri).hostname:
            raise _refusal(f"the address of an MLflow server, got {shown(uri)}", "http://localhost:5000")
    elif scheme not in ("databricks", *(each.name for each in entry_points(group="mlflow.tracking_store"))):
        raise _refusal(f"{_EXPECTED}, got {shown(uri)}", "sqlite:///mlflow.db")


_EXPECTED = "sqlite:///…, http://… or another database"


def ui_command(uri: str) -> str:
    """What a person types to look at the runs; of a server, the address to open.

    >>> ui_command("sqlite:////data/store/mlflow.db")
    'mlflow ui --backend-store-uri sqlite:////data/store/mlflow.db'
    >>> ui_command("http://me:secret@localhost:5000")
    'http://localhost:5000'
    """
    if _is_database(uri):
        return f"mlflow ui --backend-store-uri {shlex.quote(shown(uri))}"
    return shown(uri)


def shown(uri: str) -> str:
    """A URI as it may be printed: without user, password and query."""
    return without_secrets(uri, uri).partition("?")[0]


def without_secrets(text: str, uri: str) -> str:
    """A text without the user and password that stand in a URI.

    >>> without_secrets("no answer from http://me:secret@host/", "http://me:secret@host")
    'no answer from http://host/'
    """
    secrets = re.match(r"[^:/]+://([^/]*)@", uri)
    if secrets is None:
        return text
    _, _, password = secrets[1].partition(":")
    text = text.replace(f"{secrets[1]}@", "")
    return text.replace(password, "…") if password else text


def artifact_location(uri: str, experiment: str) -> str | None:
    """Where an experiment's files go: beside an SQLite file; where MLflow itself decides, None.

    >>> artifact_location("sqlite:////data/store/mlflow.db", "quickstart")
    'file:///data/store/mlflow-artifacts/quickstart'
    """
    file = sqlite_file(uri)
    return None if file is None else (file.parent / "mlflow-artifacts" / experiment).as_uri()


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite database on disk, absolute."""
    found = re.match(r"sqlite(?:\+\w+)?:///([^?]+)", uri)
    return None if found is None or found[1] == ":memory:" else Path(found[1]).absolute()


def _is_database(uri: str) -> bool:
    return re.split(r"[+:]", uri)[0] in ("sqlite", *_DRIVERS)


def _check_sqlite(uri: str) -> None:
    file = sqlite_file(uri)
    if file is None:
        raise _refusal(f"the path of an SQLite file, got {uri}", "sqlite:///mlflow.db")
    try:
        if file.exists():
            with file.open("r+b") as opened:
                beginning = opened.read(16)
            if beginning not in (b"", b"SQLite format 3\0"):
                raise _refusal(f"an SQLite database, got {file}, which is something else", "another file")
        # SQLite keeps its journal beside the file, so that the folder must be writable as well.
        folder = next(each for each in file.parents if each.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise _refusal(f"an SQLite file that can be written, got {file} ({why})", "another folder") from None


def _refusal(problem: str, remedy: str) -> BadInput:
    return BadInput(f"--tracking-uri: expected {problem}, try {remedy}")
