"""Carries out calculations: settings → `madray.theory` → columns of numbers → the store."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from madray.artifacts import Artifacts
from madray.calculations import KIND, Calculation
from madray.spec.theory import STANDARD_ERROR, AnyTheory, Boundary, Limit, Simulate

if TYPE_CHECKING:
    from madray.theory import Estimate

Columns = dict[str, list[float]]
"""Numbers by name, one a row."""

_NUMBERS, _RECORD = "numbers.json", "record.json"


def load_theory() -> None:
    """Load what calculates, torch with it, which is no part of what a calculation takes."""
    with suppress(Exception):  # each calculation will say why it cannot be loaded
        import madray.theory  # noqa: F401


def make_calculation(artifacts: Artifacts, calculation: Calculation) -> Columns:
    """The numbers of a calculation, made and committed where they are missing."""
    key = calculation.key
    if artifacts.has(KIND, key, _NUMBERS):
        return read_calculation(artifacts, key)
    started = time.perf_counter()
    columns = calculate(calculation.settings, calculation.seed)
    record = _record_of(calculation, seconds=time.perf_counter() - started)
    files = {_NUMBERS: json.dumps(columns).encode(), _RECORD: json.dumps(record, indent=1).encode()}
    artifacts.commit(KIND, key, files)
    return columns


def read_calculation(artifacts: Artifacts, key: str) -> Columns:
    """The numbers of a calculation that was made. Raises: Missing, Damaged."""
    columns: Columns = json.loads(artifacts.read(KIND, key, _NUMBERS)[_NUMBERS])
    return columns


def calculate(settings: AnyTheory, seed: int) -> Columns:
    """All numbers that a kind of theory names, by its rows.

    Raises: what `madray.theory` raises; bounds were checked when the sweep was read.
    """
    match settings:
        case Simulate():
            return _simulate(settings, seed)
        case Limit():
            return _limit(settings, seed)
        case Boundary():
            return _boundary(settings, seed)


def _simulate(settings: Simulate, seed: int) -> Columns:
    from madray import theory

    made = theory.simulate(
        settings.d,
        settings.real_size,
        settings.synthetic_size,
        settings.bias,
        real=settings.real,
        n_ini=settings.n_ini,
        memory=settings.memory,
        split=settings.split,
        generations=settings.generations,
        replicates=settings.replicates,
        seed=seed,
    )
    columns: Columns = {}
    for name in ("w2_squared", "w2", "trace", "mean_squared_norm"):
        told: Estimate[Any] = getattr(made, name)
        columns |= {name: told.mean.tolist(), name + STANDARD_ERROR: told.standard_error.tolist()}
    return columns


def _limit(settings: Limit, seed: int) -> Columns:
    from madray import theory

    n_r = settings.real_size
    w2_squared = theory.limit(
        settings.d,
        n_r,
        settings.synthetic_size,
        settings.bias,
        memory=settings.memory,
        split=settings.split,
        rtol=settings.rtol,
        seed=seed,
    )
    n_e = theory.effective_sample_size(w2_squared, settings.d)
    over = theory.Estimate(n_e.mean / n_r, n_e.standard_error / n_r)
    return _one_row({"w2_squared": w2_squared, "n_e": n_e, "n_e_over_n_r": over})


def _boundary(settings: Boundary, seed: int) -> Columns:
    from madray import theory

    found = theory.boundary(settings.d, settings.n_r, settings.bias, rtol=settings.rtol, seed=seed)
    return {
        "n_s_star": [float(found.n_s)],
        "n_s_star_low": [float(found.low)],
        "n_s_star_high": [float(found.high)],
        "evaluations": [float(found.evaluations)],
    }


def _one_row(estimates: Mapping[str, Estimate[float]]) -> Columns:
    columns: Columns = {}
    for name, told in estimates.items():
        columns |= {name: [float(told.mean)], name + STANDARD_ERROR: [float(told.standard_error)]}
    return columns


def _record_of(calculation: Calculation, *, seconds: float) -> dict[str, Any]:
    """What is worth knowing of a calculation, for people; no key depends on it."""
    import madray

    packages = {name: version(name) for name in ("numpy", "scipy", "torch")}
    return {
        "key": calculation.key,
        "theory": calculation.settings.canonical(),
        "seed": calculation.seed,
        "seconds": round(seconds, 3),
        "device": "cpu",
        "versions": {"madray": madray.__version__, "python": platform.python_version(), **packages},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
