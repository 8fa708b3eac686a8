"""What a store and an MLflow server hold of a sweep, in a form in which two sweeps can be compared."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from faults.campaign import PARAMETERS, Campaign
from pyarrow import fs as pafs

SWEEP_RUN = ("sweep",)


@dataclass(frozen=True)
class Tracked:
    """A run in MLflow.

    Attributes:
        label: which chain, or `SWEEP_RUN`.
        points: (name, step, value) of every point, sorted; twice what is there twice.
        pictures: (step, ending, digest) of every picture, sorted.
    """

    label: tuple[str, ...]
    status: str
    points: tuple[tuple[str, int, str], ...]
    pictures: tuple[tuple[int, str, str], ...]


def tracked(campaign: Campaign) -> list[Tracked]:
    """All runs that MLflow holds of a sweep, sorted; read from its database and its files."""
    server = campaign.world.mlflow
    with closing(sqlite3.connect(server.database, timeout=30)) as database:
        runs = database.execute(
            "SELECT run_uuid, status, experiment_id FROM runs JOIN experiments USING (experiment_id)"
            " WHERE experiments.name = ? AND runs.lifecycle_stage = 'active'",
            (campaign.name,),
        ).fetchall()
        found = []
        for run, status, experiment in runs:
            settings = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)))
            points = database.execute(
                "SELECT key, step, CASE is_nan WHEN 1 THEN 'nan' ELSE value END FROM metrics WHERE run_uuid = ?",
                (run,),
            )
            label = tuple(settings[name] for name in PARAMETERS) if settings else SWEEP_RUN
            told = tuple(sorted((key, step, str(value)) for key, step, value in points))
            images = server.artifacts / str(experiment) / run / "artifacts" / "images"
            found.append(Tracked(label, status, told, _pictures(images)))
    return sorted(found, key=lambda each: each.label)


def as_tracked(table: str) -> dict[tuple[str, ...], list[tuple[str, int, str]]]:
    """The points that MLflow should hold by a table, by chain."""
    points: dict[tuple[str, ...], list[tuple[str, int, str]]] = {}
    for row in csv.DictReader(io.StringIO(table)):
        label = tuple(_plain(row.pop(name)) for name in PARAMETERS)
        step = int(row.pop("generation"))
        points.setdefault(label, []).extend((name, step, str(float(value))) for name, value in row.items())
    return {label: sorted(told) for label, told in points.items()}


def _plain(value: str) -> str:
    """As MLflow has it: a whole number without its point."""
    return value.removesuffix(".0")


def _pictures(folder: Path) -> tuple[tuple[int, str, str], ...]:
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    return tuple(
        sorted((int(file.name.split("+")[2]), file.suffix, _sha256(file.read_bytes())) for file in files)
    )


@dataclass(frozen=True)
class Kept:
    """What lies in a store.

    Attributes:
        named: the path of each file that something vouches for, by what it is: (kind, key, name).
        stray: paths of the others: other attempts, unfinished files, damaged ones.
    """

    named: Mapping[tuple[str, str, str], str]
    stray: frozenset[str]


def kept(files: Mapping[str, bytes]) -> Kept:
    """Tells the files of a store apart by markers and digests alone, without what madray thinks of them."""
    named: dict[tuple[str, str, str], str] = {}
    stray = set()
    for path in files:
        what = _what(path, files)
        if what is None or what in named:
            stray.add(path)
        else:
            named[what] = path
    return Kept(named, frozenset(stray))


def files_of(uri: str) -> dict[str, bytes]:
    """Every file of a store by its path from the root on, hidden ones as well."""
    if "://" not in uri:
        root = Path(uri)
        return {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }
    filesystem, folder = pafs.FileSystem.from_uri(uri)
    infos = filesystem.get_file_info(pafs.FileSelector(folder, recursive=True))
    return {
        info.path.removeprefix(f"{folder}/"): filesystem.open_input_file(info.path).readall()
        for info in infos
        if info.type == pafs.FileType.File
    }


def put_file(uri: str, path: str, data: bytes) -> None:
    """Put other bytes into a file of a store, past all that madray does for them to be whole."""
    if "://" not in uri:
        Path(uri, path).write_bytes(data)
        return
    filesystem, folder = pafs.FileSystem.from_uri(uri)
    with filesystem.open_output_stream(f"{folder}/{path}") as file:
        file.write(data)


def _what(path: str, files: Mapping[str, bytes]) -> tuple[str, str, str] | None:
    """What a file is, if it is what its marker, or its own name, says."""
    match path.split("/"):
        case ["madray.json"]:
            return ("", _sha256(files[path]), path)
        case ["sweeps", _, part, name]:
            digest = name.rpartition(".")[0].rpartition("-")[2]
            whole = _sha256(files[path]).startswith(digest) and not name.startswith(".")
            return (f"sweeps/{part}", name, name) if whole else None
        case [kind, key, "done.json"]:
            return (kind, key, "done.json") if _marker(files[path]) is not None else None
        case [kind, key, attempt, name]:
            marker = _marker(files.get(f"{kind}/{key}/done.json", b""))
            if marker is None or marker[0] != attempt:
                return None
            return (kind, key, name) if marker[1].get(name) == _sha256(files[path]) else None
    return None


def _marker(data: bytes) -> tuple[str, dict[str, str]] | None:
    """Which attempt counts, and the digests of its files."""
    try:
        told = json.loads(data)
        return told["attempt"], {name: sha for name, (_, sha) in told["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
