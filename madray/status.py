"""How far a sweep is: read from its records and rows alone, also while it runs, from anywhere."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from madray.ledger import Failure, Ledger, SweepRecord, finished
from madray.spec.reading import label
from madray.store import Store


def status_of(store: Store, name: str) -> dict[str, Any]:
    """The state of a sweep as plain data.

    Keys: `name`, `generations` (`finished`, `all`; or `calculations`, where rows tell of these), `chains` (a
    list of `cell`, `seed`, `finished`, `all`, `state`), `failures` (`generation`, `of`, `error`, `traceback`,
    `chains`). A chain is `finished`, `failed` or `unfinished`.

    Raises: BadInput, if the store knows no such sweep.
    """
    ledger = Ledger(store, name)
    record = ledger.record()
    done = Counter(chain.id for chain, _, _ in finished(record, ledger.rows()))
    failures = _open_failures(record, ledger, done)
    failed = {chain for failure in failures for chain in failure.chains}
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
        "name": name,
        f"{record.row}s": {
            "finished": sum(done.values()),
            "all": sum(len(chain.rows) for chain in record.chains),
        },
        "chains": chains,
        "failures": [
            {
                "generation": failure.t,
                "of": _of(failure, record),
                "chains": len(failure.chains),
                "error": failure.error,
                "traceback": failure.traceback,
            }
            for failure in failures
        ],
    }


def show_status(store: Store, name: str | None, *, as_json: bool) -> None:
    """Print the state of a sweep, or the names of all."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    names = [name] if name is not None else Ledger.names(store)
    told = [status_of(store, each) for each in names]
    if as_json:
        print(json.dumps(told[0] if name is not None else told, indent=1, ensure_ascii=False))
        return
    if not told:
        console.print(f"no sweeps in {store.uri}", markup=False)
    for each in told:
        [unit] = {"generations", "calculations"} & each.keys()
        count = each[unit]
        table = Table(
            title=f"{each['name']}: {count['finished']} of {count['all']} {unit}", title_justify="left"
        )
        for heading in ("cell", "seed", unit, "state"):
            table.add_column(heading)
        for chain in each["chains"]:
            colour = {"finished": "green", "failed": "red"}.get(chain["state"], "yellow")
            made = f"{chain['finished']}/{chain['all']}"
            table.add_row(label(chain["cell"]), str(chain["seed"]), made, f"[{colour}]{chain['state']}[/]")
        console.print(table)
        for failure in each["failures"]:
            console.print(f"{failure['of']}: {failure['error']}", markup=False, style="red")
            console.print(failure["traceback"].rstrip(), markup=False)


def _open_failures(record: SweepRecord, ledger: Ledger, done: Counter[str]) -> list[Failure]:
    """Failures that still keep a chain of the sweep from its end; not those of a generator that was changed
    since."""
    unfinished = {chain.id for chain in record.chains if done[chain.id] < len(chain.rows)}
    asked = {key for chain in record.chains for key in chain.generations}
    made = {row.generation for row in ledger.rows().values()}
    return [
        failure
        for failure in ledger.failures()
        if unfinished & set(failure.chains)
        and failure.generation not in made
        and (failure.t == 0 or failure.generation in asked)
    ]


def _of(failure: Failure, record: SweepRecord) -> str:
    """What failed is called: a generation, the cell and seed of a calculation, or the real side of all."""
    if failure.t:
        return f"generation {failure.t}"
    for chain in record.chains:
        if failure.generation in chain.generations:
            return f"{label(chain.point)}, seed {chain.seed}"
    return "the real side"
