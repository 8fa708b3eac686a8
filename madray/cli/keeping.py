"""`madray gc`, `remove`, `export` and `import`: keep a store tidy, and move sweeps between stores."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from madray.cli.options import STORE, StoreOption, open_store, say_notes, store_told
from madray.errors import BadInput

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from madray.store import Store


def gc(
    store: StoreOption = STORE,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="HOURS", min=0, help="Leave what is younger than this.")
    ] = 24.0,
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is listed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List what no sweep in the store refers to, and with --delete remove it."""
    import json

    from madray.display import gigabytes
    from madray.garbage import collect, find_garbage

    place = open_store(store)
    found = find_garbage(place, older_than_hours=older_than)
    if delete:
        found = collect(place, found)
    say_notes(place)
    if as_json:
        files = [{"path": file.path, "size_bytes": file.size_bytes} for file in found.files]
        print(json.dumps({"files": files, "size_bytes": found.size_bytes, "deleted": delete}, indent=1))
        return
    for file in found.files:
        print(f"{file.size_bytes:>12}  {file.path}")
    n = len(found.files)
    told = f"{n} file{'s' * (n != 1)}, {gigabytes(found.size_bytes)}"
    print(f"{told} deleted" if delete else f"{told} that no sweep refers to; delete with --delete")


def remove(
    name: Annotated[str, typer.Argument(help="The sweep's name.")], store: StoreOption = STORE
) -> None:
    """Forget the sweep called NAME. What it made stays until `madray gc --delete`."""
    from madray.ledger import Ledger

    place = open_store(store)
    Ledger(place, name).check_known()
    place.remove_folder(f"sweeps/{name}")
    print(f"forgot {name}; what it made: madray gc{store_told(place)}")


def export(
    name: Annotated[str, typer.Argument(help="The sweep's name.")],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder or URI; a store in the end.")],
    store: StoreOption = STORE,
) -> None:
    """Copy the sweep called NAME, with all that it needs, to DIR. Done again, it goes on where it was."""
    _copy(open_store(store), open_store(folder), [name])


def import_(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="What `madray export` made.")],
    store: StoreOption = STORE,
) -> None:
    """Copy all sweeps in DIR, with all that they need, into the store."""
    from madray.ledger import Ledger

    source = open_store(folder)
    names = [*Ledger.known(source)]
    if not names:
        raise BadInput(
            f"expected a folder that `madray export` made, got {source.shown}, which has no whole sweeps"
        )
    _copy(source, open_store(store), names)


def _copy(source: Store, target: Store, names: list[str]) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from madray.display import gigabytes
    from madray.transfer import copy_sweep

    for name in names:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(name, total=None)
            told = partial(_advance, progress, bar)
            copied = copy_sweep(source, target, name, told=told)
        say_notes(source)
        size = gigabytes(copied.size_bytes)
        print(f"{name}: {copied.artifacts} artifacts, {size} copied to {target.shown}")
        again = f"madray resume {name}{store_told(source)}"
        if not copied.is_all:
            print("of samples, features and measurements, those were copied whose keys can still be told")
        if copied.missing:
            gone = f"{copied.missing} that its rows say were made are not in {source.shown}"
            print(f"{gone}; make them again ({again}), and copy once more")
        if copied.damaged:
            print(
                f"{copied.damaged} were damaged and left out; make them again ({again}), and copy once more"
            )


def _advance(progress: Progress, bar: TaskID, done: int, total: int) -> None:
    progress.update(bar, completed=done, total=total)
