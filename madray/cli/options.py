"""Options that several commands take, and the store that they name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from madray.store import Store

STORE = "madray-store"

StoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="MADRAY_STORE", help="A folder or URI (s3://…) that holds everything made."
    ),
]
TrackingOption = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        help="Where MLflow records runs; `none` for nowhere. [default: SQLite beside a local store]",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", envvar="RAY_ADDRESS", help="A Ray cluster to join; a local one without."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="MADRAY_DATA", help="The folder of data sets (torchvision's layout)."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a field, e.g. chain.generations=3."),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        envvar="MADRAY_SHARD",
        help="Make the I-th of N parts: several drivers at once on one store.",
    ),
]


def open_store(uri: str) -> Store:
    """The store there, be it one yet or not.

    Raises: BadInput, if nothing opens it, or another madray made it in another format: to this one all of it
    would be garbage.
    """
    from madray.store import Store

    opened = Store.open(uri)
    opened.check_format()
    return opened


def say_notes(store: Store) -> None:
    """Say on stderr what was passed over on the way, each once and in a line."""
    for note in dict.fromkeys(store.notes):
        print(f"madray: {note}", file=sys.stderr)
    store.notes.clear()


def store_told(store: Store) -> str:
    default = store.is_local and Path(store.uri) == Path(STORE).absolute()
    return "" if default else f" --store {store.shown}"
