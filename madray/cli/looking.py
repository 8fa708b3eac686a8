"""`madray status`, `table`, `schema` and `verify`: look, and change nothing."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from madray.cli.options import STORE, StoreOption, open_store, say_notes


class Format(StrEnum):
    """How a table is written."""

    csv = "csv"
    json = "json"
    parquet = "parquet"


def status(
    name: Annotated[str | None, typer.Argument(help="The sweep's name; all sweeps without.")] = None,
    store: StoreOption = STORE,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show how far a sweep is, and what failed."""
    from madray.status import show_status

    place = open_store(store)
    show_status(place, name, as_json=as_json)
    say_notes(place)


def table(
    name: Annotated[str, typer.Argument(help="The sweep's name.")],
    store: StoreOption = STORE,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.csv,
) -> None:
    """Write the sweep's table: a row per cell, seed and generation (or calculation)."""
    from madray import table as tables
    from madray.ledger import Ledger

    place = open_store(store)
    ledger = Ledger(place, name)
    made = tables.table(ledger.record(), ledger.rows())
    write = {Format.csv: tables.to_csv, Format.json: tables.to_json, Format.parquet: tables.to_parquet}
    sys.stdout.buffer.write(write[format_](made))
    sys.stdout.buffer.flush()
    say_notes(place)


def schema() -> None:
    """Print the JSON Schema of sweep files, for editors to complete and check them."""
    import json

    from madray.spec.schema import sweep_schema

    print(json.dumps(sweep_schema(), indent=2, ensure_ascii=False))


def verify(
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random numbers that are compared.")] = 0,
) -> None:
    """Check the theory: closed forms against simulation, simulation against naive sampling; about a minute.

    Each check has a wrong variant that it must reject. The exit code is 1 when one fails.
    """
    from rich.console import Console

    from madray.engine.threads import limited_threads
    from madray.verify import show_checks

    with limited_threads(1):
        passed = show_checks(Console(highlight=False), seed=seed)
    if not passed:
        raise typer.Exit(1)
