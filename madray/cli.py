"""The command line: sweep, resume, submit, status, table, schema, verify."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from madray.errors import BadInput, MadrayError

if TYPE_CHECKING:
    from madray.engine.prepare import Prepared
    from madray.spec.reading import AnyFile
    from madray.store import Store

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Train chains of generative models on their own output, and see what happens.",
)

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
STORE = "madray-store"


class Format(StrEnum):
    """How a table is written."""

    csv = "csv"
    json = "json"
    parquet = "parquet"


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="The sweep file (YAML).")],
    store: StoreOption = STORE,
    tracking_uri: TrackingOption = None,
    address: AddressOption = None,
    data: DataOption = None,
    dry_run: DryRunOption = False,
    set_: SetOption = None,
) -> None:
    """Make all that is missing of the sweep in FILE, show it, and record it."""
    from madray.spec.reading import read_sweep

    _sweep(read_sweep(file, set_ or ()), str(file), store, tracking_uri, address, data, dry_run)


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="The sweep's name in the store.")],
    store: StoreOption = STORE,
    tracking_uri: TrackingOption = None,
    address: AddressOption = None,
    data: DataOption = None,
    dry_run: DryRunOption = False,
    set_: SetOption = None,
) -> None:
    """Go on with the sweep called NAME, from what the store knows of it."""
    from madray.ledger import Ledger
    from madray.spec.reading import parse_sweep

    record = Ledger(_open(store), name).record()
    file = parse_sweep(record.text, name=name, overrides=set_ or ())
    _sweep(file, name, store, tracking_uri, address, data, dry_run)


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="The sweep file (YAML).")],
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="As a RayJob of KubeRay's; writes its manifests.")
    ] = False,
    ray_jobs: Annotated[
        str | None,
        typer.Option(
            "--ray-jobs", metavar="ADDRESS", help="As a job of the Ray cluster with this dashboard."
        ),
    ] = None,
    store: Annotated[
        str, typer.Option("--store", help="A URI, or a folder that is the same on all nodes.")
    ] = "",
    tracking_uri: Annotated[
        str | None,
        typer.Option("--tracking-uri", help="MLflow as the cluster sees it; `none` for no MLflow."),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="The folder of data sets where the driver runs.")
    ] = None,
    set_: SetOption = None,
    cluster: Annotated[
        Path | None,
        typer.Option("--cluster", help="The RayCluster to make: a manifest, or a folder for kustomize."),
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="The image of the cluster's nodes.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the manifests to a file; to stdout without.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the manifests through kubectl.")] = False,
) -> None:
    """Send the sweep in FILE to a cluster. Do it again at any time: only what is missing is made."""
    from madray.spec.reading import read_sweep
    from madray.submit import Errand, submit_to_ray

    if kubernetes == (ray_jobs is not None):
        raise BadInput(f"expected --kubernetes or --ray-jobs, got {'both' if kubernetes else 'neither'}")
    if ray_jobs is None:
        _submit_to_kubernetes(file, store, tracking_uri, data, set_ or [], cluster, image, output, apply)
        return
    if cluster or image or output or apply:
        raise BadInput(
            "--cluster, --image, --output, --apply: expected --kubernetes with them, got --ray-jobs"
        )
    read = read_sweep(file, set_ or ())
    job = submit_to_ray(ray_jobs, Errand(read.sweep.name, read.text, store, tracking_uri, data))
    print(f"submitted {job}; follow it with: ray job logs --follow --address {ray_jobs} {job}")


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="The sweep's name; all sweeps without.")] = None,
    store: StoreOption = STORE,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show how far a sweep is, and what failed."""
    from madray.status import show_status

    show_status(_open(store), name, as_json=as_json)


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="The sweep's name.")],
    store: StoreOption = STORE,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.csv,
) -> None:
    """Write the sweep's table: a row per cell, seed and generation (or calculation)."""
    from madray import table as tables
    from madray.ledger import Ledger

    ledger = Ledger(_open(store), name)
    made = tables.table(ledger.record(), ledger.rows())
    write = {Format.csv: tables.to_csv, Format.json: tables.to_json, Format.parquet: tables.to_parquet}
    sys.stdout.buffer.write(write[format_](made))
    sys.stdout.buffer.flush()


@app.command()
def schema() -> None:
    """Print the JSON Schema of sweep files, for editors to complete and check them."""
    import json

    from madray.spec.schema import sweep_schema

    print(json.dumps(sweep_schema(), indent=2, ensure_ascii=False))


@app.command()
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


def main() -> None:
    """The entry point: errors a user can act on are one line, all else keeps its traceback."""
    # As with `python -m`, so that a module beside the sweep file can be named in it.
    sys.path.insert(0, os.getcwd())
    try:
        left = app(standalone_mode=False)  # the exit code, where a command raised typer.Exit
        sys.exit(left if isinstance(left, int) else 0)
    except MadrayError as error:
        print(f"madray: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        usage = getattr(error, "format_message", None)  # click's own: a wrong option or argument
        if usage is None:
            raise
        print(f"madray: {usage()}; try madray --help", file=sys.stderr)
        sys.exit(2)


def _sweep(
    file: AnyFile,
    named: str,
    store_uri: str,
    tracking_uri: str | None,
    address: str | None,
    data: Path | None,
    dry_run: bool,
) -> None:
    from rich.console import Console

    from madray.engine.prepare import changes, prepare
    from madray.tracking import check_uri, default_uri

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # for files and pipes, where nothing has to fit a screen
    store = _open(store_uri)
    uri = None if tracking_uri == "none" else tracking_uri or default_uri(store.folder)
    try:
        prepared = prepare(file, store=store, data=data)
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
    if set(states.values()) != {"finished"}:
        raise typer.Exit(130 if "stopped" in states.values() and "failed" not in states.values() else 1)


def _submit_to_kubernetes(
    file: Path,
    store: str,
    tracking_uri: str | None,
    data: str | None,
    overrides: list[str],
    cluster: Path | None,
    image: str | None,
    output: Path | None,
    apply: bool,
) -> None:
    from madray import submit

    target = submit.ray_cluster(cluster)
    if image is not None:
        target = submit.with_image(target, image)
    read = submit.fill_cluster(file, overrides, target)
    made = submit.manifests(submit.Errand(read.sweep.name, read.text, store, tracking_uri, data), target)
    if output is not None:
        try:
            output.write_text(made.text(), "utf-8")
        except OSError as error:
            raise BadInput(f"--output: expected a file that can be written, got {error}") from None
    if apply:
        print(submit.apply(made), end="")
        print(f"follow it with: kubectl get rayjob {made.name} --watch")
    elif output is None:
        print(made.text(), end="")


def _run(console: Any, prepared: Prepared, uri: str | None, address: str | None) -> dict[str, str]:
    """Make what is missing, with MLflow following; print how it ended; returns the chains' states."""
    from madray.display import LineDisplay, LiveDisplay, failed_name, summary
    from madray.engine.sweep import run
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
    finally:
        display.close()
    if tracker is not None:
        made = to_csv(make_table(record, outcome.rows))
        artifacts = {"sweep.yaml": record.text.encode(), "table.csv": made}
        for note in tracker.finish(outcome.states, artifacts, wait_seconds=60):
            console.print(note, markup=False)
    console.print(summary(record, outcome.rows, floors(store, record)))
    if outcome.failures:
        names = prepared.targets.names()
        for failure in outcome.failures:
            console.print(f"failed: {failed_name(names, failure.generation)}: {failure.error}", markup=False)
        console.print(f"why: madray status {record.name}{_store_told(store)}", markup=False)
    if outcome.stopped:
        console.print(f"stopped; go on with: madray resume {record.name}{_store_told(store)}", markup=False)
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
    if plan.efforts:
        guess = estimate(plan.efforts, known_rows(prepared.store))
        if guess.known:
            room = f" and {gigabytes(guess.size_bytes)}" if guess.size_bytes else ""
            console.print(
                f"about {duration(guess.seconds)} of one worker{room}, going by its like in the store"
            )
        else:
            console.print("nothing like it in the store to tell the time from")


def _open(uri: str) -> Store:
    from madray.store import Store

    return Store.open(uri)


def _store_told(store: Store) -> str:
    default = store.is_local and Path(store.uri) == Path(STORE).absolute()
    return "" if default else f" --store {store.uri}"


def _drain(store: Store) -> list[str]:
    notes, store.notes[:] = list(store.notes), []
    return notes
