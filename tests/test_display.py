"""What a user sees: lines while a sweep runs, and its summary at the end."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from madray.display import LineDisplay, LiveDisplay, summary
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.ledger import ChainRecord, Row, SweepRecord
from madray.spec.reading import check_sweep
from madray.store import Store

LIMIT: dict[str, Any] = {
    "name": "limits",
    "theory": {"kind": "limit", "d": 3, "n_s": 30, "rtol": 0.1},
    "grid": {"n_r": [5, 20]},
}
CHAINS: dict[str, Any] = {
    "name": "chains",
    "chain": {
        "reference": {"kind": "gaussian", "d": 2},
        "generator": "gaussian",
        "loop": "fully_synthetic",
        "n_ini": 20,
        "n_s": 20,
        "generations": 2,
    },
    "grid": {"lambda": [1.0, 0.5]},
}
TOO_LARGE = 2 * 10**7
"""A dimension whose matrices no machine has room for: the calculation raises MemoryError at once."""


def told(place: Path, raw: dict[str, Any], display: type[LineDisplay] | type[LiveDisplay]) -> list[str]:
    """What is printed while a sweep runs."""
    prepared = prepare(check_sweep(raw, name="test"), store=Store.open(place), data=None)
    console = Console(file=io.StringIO(), width=120, force_terminal=display is LiveDisplay)
    shown = display(console, prepared.targets)
    run(prepared, executor=execute_here, display=shown)
    shown.close()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def summary_of(record: SweepRecord, rows: list[Row]) -> list[list[str]]:
    """The words of each line of a summary."""
    console = Console(file=io.StringIO(), width=160)
    console.print(summary(record, {(row.chain, row.t, row.key): row for row in rows}, {}))
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines() if line.strip(" ─")]


def calculations(numbers: list[dict[str, float]], columns: list[str], seeds: int = 1) -> list[list[str]]:
    """The summary of a sweep over n_r whose calculations gave these numbers."""
    chains = [
        ChainRecord(f"{place}", {"n_r": place // seeds}, place % seeds, ["k"], ["k"], {})
        for place in range(len(numbers))
    ]
    record = SweepRecord("phase", 0.0, "", {}, columns, {}, chains, row="calculation")
    rows = [Row(f"{place}", 1, "k", "k", each, "", "", 1, 1.0, 0.0) for place, each in enumerate(numbers)]
    return summary_of(record, rows)


# While it runs


def test_a_line_is_told_for_each_calculation(tmp_path: Path) -> None:
    lines = told(tmp_path, LIMIT, LineDisplay)
    assert [line[:3] for line in lines] == ["1/2", "2/2"]
    assert sorted(line.split(" · ")[0][4:] for line in lines) == ["n_r=20, seed 0", "n_r=5, seed 0"]


def test_a_line_is_told_for_each_generation(tmp_path: Path) -> None:
    lines = [line.split(" · ")[0] for line in told(tmp_path, CHAINS, LineDisplay)]
    assert lines[0] == "1/3 shared by 2 chains, seed 0, generation 1"
    assert sorted(line[4:] for line in lines[1:]) == [
        "lambda=0.5, seed 0, generation 2",
        "lambda=1, seed 0, generation 2",
    ]


def test_what_failed_is_told_by_its_cell(tmp_path: Path) -> None:
    theory = {"kind": "limit", "n_r": TOO_LARGE, "n_s": 30, "rtol": 0.1}
    raw = {"name": "limits", "theory": theory, "grid": {"d": [TOO_LARGE]}}
    [line] = told(tmp_path, raw, LineDisplay)
    assert line.startswith(f"failed: d={TOO_LARGE}, seed 0: MemoryError: ")


@pytest.mark.parametrize(
    ("raw", "end"),
    [(LIMIT, ["2 cells, 1 seed", "2/2 calculations"]), (CHAINS, ["2 chains", "3/3 generations"])],
)
def test_bars_count_what_is_made(tmp_path: Path, raw: dict[str, Any], end: list[str]) -> None:
    whole = "\n".join(told(tmp_path, raw, LiveDisplay))
    assert all(part in whole for part in end)


# At the end


def test_numbers_of_calculations_stand_with_their_standard_errors() -> None:
    columns = ["w2_squared", "w2_squared_standard_error", "n_e", "n_e_standard_error"]
    numbers = [
        dict(zip(columns, each, strict=True))
        for each in (
            (0.123456, 0.00021, 1234.5, 12.0),
            (99.5, 0.5, math.nan, math.nan),
            (3.000012e-7, 2e-12, 0.0, 3e-9),
        )
    ]
    title, heading, first, second, third = calculations(numbers, columns)
    assert title == ["phase"]
    assert heading == ["n_r", "w2_squared", "n_e"]
    assert first == ["0", "0.1235", "±", "0.0002", "1234", "±", "12"]
    assert second == ["1", "99.5", "±", "0.5", "–"]
    assert third == ["2", "3.00001e-07", "±", "2e-12", "0e+00", "±", "3e-09"]


def test_over_seeds_the_error_is_no_larger_than_the_mean_of_theirs() -> None:
    columns = ["n_e", "n_e_standard_error"]
    numbers = [{"n_e": 10.0, "n_e_standard_error": 0.1}, {"n_e": 20.0, "n_e_standard_error": 0.3}]
    *_, line = calculations(numbers, columns, seeds=2)
    assert line == ["0", "15.0", "±", "0.2"]


def test_a_boundary_shows_its_bracket_and_may_be_infinite() -> None:
    columns = ["n_s_star", "n_s_star_low", "n_s_star_high", "evaluations"]
    numbers = [
        dict(zip(columns, each, strict=True))
        for each in ((12345.0, 12300.0, 12400.0, 5.0), (math.inf, 1.0, math.inf, 0.0))
    ]
    _, heading, first, second = calculations(numbers, columns)
    assert heading == ["n_r", "n_s_star", "n_s_star_low", "n_s_star_high"]
    assert (first, second) == (["0", "12345", "12300", "12400"], ["1", "inf", "1", "inf"])


def test_generations_are_told_from_the_first_to_the_last() -> None:
    chain = ChainRecord("c", {"lambda": 0.5}, 0, ["g1", "g2", "g3"], ["r1", "r2", "r3"], {})
    columns = ["w2", "w2_standard_error", "fid_at_lambda_1", "trace"]
    record = SweepRecord("s", 0.0, "", {}, columns, {}, [chain])
    rows = [
        Row("c", t, f"r{t}", f"g{t}", dict.fromkeys(columns, t / 8), "", "", 1, 1.0, 0.0) for t in (1, 2, 3)
    ]
    title, heading, line = summary_of(record, rows)
    assert title == ["s:", "first", "→", "last", "generation"]
    assert heading == ["lambda", "t", "w2", "trace"]
    assert line == ["0.5", "1", "→", "3", "0.125", "→", "0.375", "0.125", "→", "0.375"]
