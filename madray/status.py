"""How far a sweep is: read from its records and rows alone, also while it runs, from anywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from madray.ledger import Failure, Ledger, Row, SweepRecord, finished
from madray.spec.reading import label
from madray.store import Store

if TYPE_CHECKING:
    from rich.console import Console

MANY = 100
"""Up to so many chains of a sweep are shown one by one."""

MANY_FAILURES = 10
"""Up to so many failures of a sweep are shown, with their tracebacks."""

_STATES = ("failed", "unfinished", "finished")


def status_of(store: Store, name: str) -> dict[str, Any]:
    """The state of a sweep as plain data.

    Keys: `name`, `generations` (`finished`, `all`; or `calculations`, where rows tell of these), `chains` (a
    list of `cell`, `seed`, `finished`, `all`, `state`), `failures` (`generation`, `of`, `error`, `traceback`,
    `chains`). A chain is `finished`, `failed` or `unfinished`.

    Raises: BadInput, if the store knows no such sweep, or has no whole record of it.
    """
    ledger = Ledger(store, name)
    return _status(ledger, ledger.record())


def _status(ledger: Ledger, record: SweepRecord) -> dict[str, Any]:
    rows = ledger.rows()
    done = Counter(chain.id for chain, _, _ in finished(record, rows))
    failures = _open_failures(record, ledger.failures(), rows.values(), done)
    failed = {chain for failure in failures for chain in failure.chains}
    calculations = _calculations(record) if record.row == "calculation" and failures else {}
    chains = [
        {
            "cell": dict(chain.point),
            "seed": chain.seed,
            "finished": done[chain.id],
            "all": len(chain.rows),
            "state": "finished"
            if done[chain.id] == len(chain.rows)
            else "failed"
            if chain.id in failed
            else "unfinished",
        }
        for chain in record.chains
    ]
    return {
        "name": ledger.name,
        f"{record.row}s": {
            "finished": sum(done.values()),
            "all": sum(len(chain.rows) for chain in record.chains),
        },
        "chains": chains,
        "failures": [
            {
                "generation": failure.t,
                "of": f"generation {failure.t}"
                if failure.t
                else calculations.get(failure.generation, "the real side"),
                "chains": len(failure.chains),
                "error": failure.error,
                "traceback": failure.traceback,
            }
            for failure in failures
        ],
    }


def show_status(store: Store, name: str | None, *, as_json: bool) -> None:
    """Print the state of a sweep, or of all; of a sweep of many chains those that are not finished.

    Of all, those without a whole record are passed over; `notes` of the store say which.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    known = Ledger.known(store) if name is None else {name: Ledger(store, name).record()}
    told = [_status(Ledger(store, each), record) for each, record in known.items()]
    if as_json:
        print(json.dumps(told[0] if name is not None else told, indent=1, ensure_ascii=False))
        return
    if not told:
        console.print(f"no sweeps in {store.shown}", markup=False)
    for each in told:
        _show(console, each)


def _show(console: Console, told: Mapping[str, Any]) -> None:
    """Print what `status_of` tells: of many chains those that are not finished, and how many there are."""
    from rich.table import Table

    [unit] = {"generations", "calculations"} & told.keys()
    count = told[unit]
    table = Table(title=f"{told['name']}: {count['finished']} of {count['all']} {unit}", title_justify="left")
    for heading in ("cell", "seed", unit, "state"):
        table.add_column(heading)
    chains = told["chains"]
    shown = chains if len(chains) <= MANY else _unfinished_first(chains)[:MANY]
    for chain in shown:
        colour = {"finished": "green", "failed": "red"}.get(chain["state"], "yellow")
        made = f"{chain['finished']}/{chain['all']}"
        table.add_row(label(chain["cell"]), str(chain["seed"]), made, f"[{colour}]{chain['state']}[/]")
    if shown:
        console.print(table)
    else:
        console.print(table.title)
    if len(shown) < len(chains):
        states = Counter(chain["state"] for chain in chains)
        of_each = ", ".join(f"{states[state]} {state}" for state in _STATES if states[state])
        console.print(f"{len(chains)} chains: {of_each}; {len(shown)} are shown, --json shows all")
    failures = told["failures"]
    for failure in failures[:MANY_FAILURES]:
        console.print(f"{failure['of']}: {failure['error']}", markup=False, style="red")
        console.print(failure["traceback"].rstrip(), markup=False)
    if len(failures) > MANY_FAILURES:
        console.print(f"{len(failures) - MANY_FAILURES} more failures; --json shows all")


def _unfinished_first(chains: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The chains that are worth a look in a sweep of many: those that failed, then those that are under way,
    then those that are yet to begin. What is finished is not."""
    left = [chain for chain in chains if chain["state"] != "finished"]
    return sorted(left, key=lambda chain: (chain["state"] != "failed", chain["finished"] == 0))


def _open_failures(
    record: SweepRecord, failures: Iterable[Failure], rows: Iterable[Row], done: Counter[str]
) -> list[Failure]:
    """Failures that still keep a chain of the sweep from its end; not those of a generator that was changed
    since."""
    unfinished = {chain.id for chain in record.chains if done[chain.id] < len(chain.rows)}
    asked = {key for chain in record.chains for key in chain.generations}
    made = {row.generation for row in rows}
    return [
        failure
        for failure in failures
        if unfinished & set(failure.chains)
        and failure.generation not in made
        and (failure.t == 0 or failure.generation in asked)
    ]


def _calculations(record: SweepRecord) -> dict[str, str]:
    """What the calculations of a sweep are called, by key: the first cell and seed that asks for each."""
    return {
        key: f"{label(chain.point)}, seed {chain.seed}"
        for chain in reversed(record.chains)
        for key in chain.generations
    }
