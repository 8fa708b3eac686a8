"""`madray sweep` and `madray resume`: make what is missing, show it, record it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from madray.cli.options import (
    STORE,
    AddressOption,
    DataOption,
    DryRunOption,
    SetOption,
    ShardOption,
    StoreOption,
    TrackingOption,
    open_store,
    store_told,
)
from madray.engine.stopping import interruptible
from madray.errors import BadInput, MadrayError

if TYPE_CHECKING:
    from madray.engine.prepare import Prepared
    from madray.spec.reading import AnyFile
    from madray.store import Store


_MLFLOW_SECONDS, _LEAVE_SECONDS = 60.0, 8.0
"""How long MLflow may take for what is left at the end. Who is told to leave, a spot instance for one, has
half a minute for everything."""


def sweep(
    file: Annotated[Path, typer.Argument(help="The sweep file (YAML).")],
    store: StoreOption = STORE,
    tracking_uri: TrackingOption = None,
    address: AddressOption = None,
    data: DataOption = None,
    dry_run: DryRunOption = False,
    shard: ShardOption = None,
    set_: SetOption = None,
) -> None:
    """Make all that is missing of the sweep in FILE, show it, and record it."""
    from madray.spec.reading import read_sweep

    _sweep(read_sweep(file, set_ or ()), str(file), store, tracking_uri, address, data, dry_run, shard)


def resume(
    name: Annotated[str, typer.Argument(help="The sweep's name in the store.")],
    store: StoreOption = STORE,
    tracking_uri: TrackingOption = None,
    address: AddressOption = None,
    data: DataOption = None,
    dry_run: DryRunOption = False,
    shard: ShardOption = None,
    set_: SetOption = None,
) -> None:
    """Go on with the sweep called NAME, from what the store knows of it."""
    from madray.ledger import Ledger
    from madray.spec.reading import parse_sweep

    record = Ledger(open_store(store), name).record()
    file = parse_sweep(record.text, name=name, overrides=set_ or ())
    _sweep(file, name, store, tracking_uri, address, data, dry_run, shard)


@interruptible()
def _sweep(
    file: AnyFile,
    named: str,
    store_uri: str,
    tracking_uri: str | None,
    address: str | None,
    data: Path | None,
    dry_run: bool,
    shard: str | None,
) -> None:
    from rich.console import Console

    from madray.engine.prepare import changes, prepare
    from madray.engine.shards import Shard
    from madray.tracking import check_uri, default_uri

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # for files and pipes, where nothing has to fit a screen
    store = open_store(store_uri)
    uri = None if tracking_uri == "none" else tracking_uri or default_uri(store.folder)
    try:
        part = None if shard is None else Shard.parse(shard)
        prepared = prepare(file, store=store, data=data, shard=part)
    except BadInput as error:
        text = str(error)
        raise BadInput(text if text.startswith("--") else f"{named}: {text}") from None
    if not dry_run:
        store.claim()
        if uri is not None:
            check_uri(uri)
    for note in [*changes(prepared.before, prepared.record), *prepared.notes, *_drain(store)]:
        console.print(note, markup=False)
    _say_plan(console, prepared)
    if dry_run:
        return
    states = _run(console, prepared, uri, address)
    if not set(states.values()) <= {"finished"}:
        raise typer.Exit(130 if "stopped" in states.values() and "failed" not in states.values() else 1)


def _run(console: Any, prepared: Prepared, uri: str | None, address: str | None) -> dict[str, str]:
    """Make what is missing, with MLflow following; print how it ended; returns the chains' states."""
    from madray.display import LineDisplay, LiveDisplay, failed_name, summary
    from madray.engine.sweep import run, states_of
    from madray.results import floors
    from madray.table import table as make_table
    from madray.table import to_csv
    from madray.tracking import Tracker, ui_command

    store, record = prepared.store, prepared.record
    tracker = None
    if uri is not None:
        tracker = Tracker(uri, record, lambda key: store.read("pictures", key).get("grid.png"))
        tracker.start()
    display = (LiveDisplay if console.is_terminal else LineDisplay)(console, prepared.targets)
    try:
        outcome = run(prepared, executor=_on_ray(address), display=display, follower=tracker)
    except MadrayError:
        if tracker is not None and prepared.rows:  # else nothing was begun that could stay RUNNING for ever
            tracker.finish(states_of(prepared, prepared.rows), {}, wait_seconds=_LEAVE_SECONDS)
        raise
    finally:
        display.close()
    for note in _drain(store):
        console.print(note, markup=False)
    if tracker is not None:
        made = to_csv(make_table(record, outcome.rows))
        artifacts = {"sweep.yaml": record.text.encode(), "table.csv": made}
        wait_seconds = _LEAVE_SECONDS if outcome.stopped else _MLFLOW_SECONDS
        for note in tracker.finish(outcome.states, artifacts, wait_seconds=wait_seconds):
            console.print(note, markup=False)
    console.print(summary(record, outcome.rows, floors(store, record)))
    if outcome.failures:
        names = prepared.targets.names()
        for failure in outcome.failures:
            console.print(f"failed: {failed_name(names, failure.generation)}: {failure.error}", markup=False)
        console.print(f"why: madray status {record.name}{store_told(store)}", markup=False)
    if outcome.stopped:
        console.print(f"stopped; go on with: madray resume {record.name}{store_told(store)}", markup=False)
    if uri is not None:
        console.print(f"look at it: {ui_command(uri)}", markup=False)
    return dict(outcome.states)


def _on_ray(address: str | None) -> Any:
    """An executor that loads Ray only when there is work."""

    def execute(*args: Any) -> None:
        from madray.engine.cluster import OnRay

        OnRay(address)(*args)

    return execute


def _say_plan(console: Any, prepared: Prepared) -> None:
    from madray.display import duration, gigabytes
    from madray.estimates import estimate, known_rows

    plan = prepared.plan
    console.print(f"{prepared.record.name}: {plan.told()}")
    if efforts := plan.efforts(prepared.mine):
        guess = estimate(efforts, known_rows(prepared.store))
        if guess.known:
            room = f" and {gigabytes(guess.size_bytes)}" if guess.size_bytes else ""
            console.print(
                f"about {duration(guess.seconds)} of one worker{room}, going by its like in the store"
            )
        else:
            console.print("nothing like it in the store to tell the time from")


def _drain(store: Store) -> list[str]:
    notes, store.notes[:] = list(store.notes), []
    return notes
