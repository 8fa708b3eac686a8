"""Small sweeps in a store, made in this process, and what the store holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.garbage import KINDS
from madray.ledger import Ledger
from madray.running import Nothing
from madray.spec.reading import check_sweep
from madray.store import Store

FLOW = {"kind": "flow", "layers": 2, "width": 8, "epochs": 1}
CHAIN: Mapping[str, Any] = {
    "reference": {"kind": "gaussian", "d": 2},
    "generator": FLOW,
    "loop": "fresh_data",
    "n_ini": 60,
    "n_r": 30,
    "n_s": 30,
    "n_eval": 20,
    "generations": 3,
}


def make(store: Store, name: str, **changes: Any) -> None:
    """Make a sweep of two cells, one by `keep` where it is told."""
    sweep = {"name": name, "chain": {**CHAIN, **changes.pop("chain", {})}, "grid": {"lambda": [1.0, 0.5]}}
    prepared = prepare(check_sweep({**sweep, **changes}, name=name), store=store, data=None)
    assert not run(prepared, executor=execute_here, display=Nothing()).failures


def all_files(store: Store) -> set[str]:
    return {file.path for kind in (*KINDS, "sweeps") for file in store.files(kind)}


def table_of(store: Store, name: str) -> dict[Any, Any]:
    return {place: dict(row.numbers) for place, row in Ledger(store, name).rows().items()}
