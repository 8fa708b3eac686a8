"""`madray.run_chain`: one chain, in this process, by the code that sweeps run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from madray.engine.events import Event
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.engine.work import WorkPlan
from madray.errors import MadrayError
from madray.results import SweepResults
from madray.spec.reading import check_sweep
from madray.store import Store


def run_chain(
    chain: Mapping[str, Any],
    *,
    seed: int = 0,
    name: str = "chain",
    store: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
) -> SweepResults:
    """Run one chain with no Ray and no MLflow, and give its results.

    Args:
        chain: the fields of a chain as a sweep file has them under `chain`.
        seed: names all random streams.
        name: what the chain is called in the store.
        store: a folder or URI; a new temporary folder where None. What it holds is not made again.
        data: the folder of data sets; MADRAY_DATA where None.

    Raises: BadInput, before anything is made; MadrayError, if a generation cannot be made.

    >>> chain = {"reference": "gaussian", "generator": "gaussian", "loop": "fully_synthetic", "n_ini": 50,
    ...          "n_s": 50, "generations": 3}
    >>> run_chain(chain).table()["w2"].gt(0).all()
    np.True_
    """
    raw = {"name": name, "chain": dict(chain), "seeds": [seed]}
    file = check_sweep(raw, name="chain")
    place = Store.open(store if store is not None else tempfile.mkdtemp(prefix="madray-"))
    folder = data or os.environ.get("MADRAY_DATA")
    prepared = prepare(file, store=place, data=Path(folder) if folder else None)
    outcome = run(prepared, executor=execute_here, display=Nothing())
    if outcome.stopped:
        raise KeyboardInterrupt
    if outcome.failures:
        failure = outcome.failures[0]
        raise MadrayError(f"generation {failure.t} failed: {failure.error}\n{failure.traceback}")
    return SweepResults(place, name)


class Nothing:
    """A display that shows nothing."""

    def begin(self, plan: WorkPlan) -> None:
        pass

    def event(self, event: Event) -> None:
        pass
