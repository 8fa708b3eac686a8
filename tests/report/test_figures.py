"""The figures' sweep files and scripts: files are read, right numbers are borne out, and wrong ones are caught.

Numbers are made up on the cells of the sweep files themselves: true ones first, then one wrong in one way each.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from madray import theory
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.report.measured import Measured
from madray.report.script import Findings, main
from madray.report.style import house_style
from madray.report.writing import to_png
from madray.running import Nothing
from madray.spec.reading import TheoryFile, read_sweep
from madray.spec.theory import AnyTheory
from madray.store import Store

ROOT = Path(__file__).parents[2]
FIGURES = ("fig10_gaussian", "fig11", "fig12", "fig30", "fig31")
SWEEPS = sorted(
    path.stem for path in (ROOT / "sweeps").glob("fig*.yaml") if isinstance(read_sweep(path), TheoryFile)
)
Numbers = dict[str, float]


def sweep_file(name: str, *overrides: str) -> TheoryFile:
    file = read_sweep(ROOT / "sweeps" / f"{name}.yaml", overrides)
    assert isinstance(file, TheoryFile)
    return file


def script(figure: str) -> Any:
    return importlib.import_module(f"analysis.{figure}")


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_file_has_the_name_of_its_sweep_one_seed_and_100_dimensions(name: str) -> None:
    file = sweep_file(name)
    assert file.sweep.name == name
    assert file.sweep.seed_list == [0]
    assert {cell.theory.d for cell in file.cells} == {100}


def test_each_sweep_is_drawn_by_one_script() -> None:
    assert sorted(name for figure in FIGURES for name in script(figure).SWEEPS) == SWEEPS
    scripts = {path.stem for path in (ROOT / "analysis").glob("fig*.py")}
    drawn = {path.stem for path in (ROOT / "sweeps").glob("fig*.yaml")} - set(SWEEPS)
    # A sweep of chains has a script of its own name, which draws its smaller profiles as well.
    assert scripts == set(FIGURES) | {name.removesuffix("_small").removesuffix("_medium") for name in drawn}


# Made-up numbers that are as the claims have them


def with_error(name: str, value: float, relative: float = 1e-5) -> Numbers:
    return {name: value, f"{name}_standard_error": relative * abs(value)}


def threshold(d: int, n_r: int, bias: float) -> Numbers:
    """Infinite for few real samples and λ = 1; else it falls to its limit as 1 + 1000/n_r."""
    endless = n_r < 29 or bias == 1
    n_s = math.inf if endless else theory.boundary_limit(d, bias) * (1 + 1000 / n_r)
    return {"n_s_star": n_s, "n_s_star_low": 1.0 if endless else 0.99 * n_s, "n_s_star_high": 1.01 * n_s}


def of_cell(name: str, cell: Any) -> Numbers:
    if name in ("fig11", "fig12"):
        return threshold(cell.d, cell.n_r, cell.bias)
    if name in ("fig11_map", "fig12_map"):
        admissible = cell.n_s < threshold(cell.d, cell.n_r, cell.bias)["n_s_star"]
        return with_error("n_e_over_n_r", 3.0 if admissible else 0.3)
    if name == "fig30":
        return with_error("n_e_over_n_r", 2 * cell.memory**0.45, 1e-3)
    floor = theory.bias_floor(cell.d, cell.p, cell.bias)
    w2_squared = floor + 2000 / cell.p / cell.n ** (1 - 0.002 * (1 - cell.p))
    return with_error("w2_squared", w2_squared, 1e-9 if cell.bias < 1 else 1e-5)


def made_up(name: str) -> Measured:
    file = sweep_file(name)
    rows = [{**cell.point, **numbers} for cell in file.cells for numbers in all_rows(name, cell.theory)]
    return Measured(name, file.sweep.constants, pd.DataFrame(rows))


def all_rows(name: str, cell: AnyTheory) -> list[Numbers]:
    if name != "fig10_gaussian":
        return [of_cell(name, cell)]
    chain: Any = cell
    end, begin = limit(cell.bias), 2600 / chain.n_ini
    return [
        {"generation": t, **with_error("w2_squared", end + (begin - end) * 0.8 ** (t - 1), 1e-3)}
        for t in range(1, chain.generations + 1)
    ]


@cache
def limit(bias: float) -> float:
    return theory.limit(100, 100, 900, bias, seed=1).mean


def found(figure: str, *measured: Measured) -> Findings:
    with house_style():
        findings = script(figure).find(*measured)
    assert isinstance(findings, Findings)
    return findings


@pytest.mark.parametrize("figure", FIGURES)
def test_right_numbers_bear_out_all_claims_and_make_a_picture(figure: str) -> None:
    findings = found(figure, *map(made_up, script(figure).SWEEPS))
    assert [claim for claim in findings.claims if not claim.holds] == []
    assert to_png(findings.picture).startswith(b"\x89PNG")
    assert 5 < len(findings.table) <= 60


# Numbers that are wrong in one way


def where(table: pd.DataFrame, **values: Any) -> pd.Series[bool]:
    chosen = pd.Series(True, index=table.index)
    for name, value in values.items():
        chosen &= table[name.replace("bias", "lambda")] == value
    return chosen


def scaled(name: str, factor: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], None]:
    """Multiplies a number, and what belongs to it, by a factor that may differ from row to row."""

    def change(table: pd.DataFrame) -> None:
        by = factor(table)
        for column in (each for each in table.columns if each.startswith(name)):
            table[column] *= by

    return change


def at(factor: float, **values: Any) -> Callable[[pd.DataFrame], Any]:
    """A factor on the rows that have these values, 1 on all others."""
    return lambda table: np.where(where(table, **values), factor, 1.0)


def made_finite(table: pd.DataFrame) -> None:
    """Gives a threshold to what has none."""
    endless = np.isinf(table["n_s_star"])
    for column, value in (("n_s_star", 1e9), ("n_s_star_low", 0.9e9), ("n_s_star_high", 1.1e9)):
        table.loc[endless, column] = value


WRONG: list[tuple[str, str, Callable[[pd.DataFrame], None], set[str]]] = [
    (
        "fig10_gaussian",
        "fig10_gaussian",
        scaled("w2_squared", at(1.1, n_ini=300, generation=100)),
        {"no two", "theory.limit"},
    ),
    ("fig10_gaussian", "fig10_gaussian", scaled("w2_squared", at(1.05, generation=100)), {"theory.limit"}),
    (
        "fig10_gaussian",
        "fig10_gaussian",
        scaled("w2_squared", at(4.0, n_ini=300, generation=1)),
        {"first models"},
    ),
    ("fig11", "fig11", scaled("n_s_star", at(30.0, bias=0.5)), {"smaller λ", "is the limit"}),
    (
        "fig11",
        "fig11",
        scaled("n_s_star", lambda table: (table["n_r"] / 1e5) ** 1.2),
        {"levels off", "n_s*/n_r falls"},
    ),
    (
        "fig11",
        "fig11",
        scaled("n_s_star", lambda table: np.where(table["n_r"] == 35, np.inf, 1.0)),
        {"threshold where"},
    ),
    ("fig11", "fig11_map", scaled("n_e_over_n_r", at(0.1, n_s=100, n_r=1000, bias=0.9)), {"modest"}),
    ("fig12", "fig12", scaled("n_s_star", at(0.1, bias=0.9, n_r=100)), {"smaller λ"}),
    ("fig12", "fig12", made_finite, {"no threshold"}),
    ("fig12", "fig12_map", scaled("n_e_over_n_r", at(0.1, bias=1.0, n_r=100, n_s=100000)), {"λ = 1: n_e"}),
    ("fig30", "fig30", scaled("n_e_over_n_r", at(0.7, memory=20)), {"grows"}),
    ("fig30", "fig30", scaled("n_e_over_n_r", lambda table: table["memory"]), {"gain"}),
    ("fig31", "fig31", scaled("w2_squared", at(2.5, p=0.5, n=18000)), {"falls with n", "higher"}),
    ("fig31", "fig31", scaled("w2_squared", lambda table: table["n"] ** 0.05), {"as 1/n"}),
    ("fig31", "fig31_bias", scaled("w2_squared", at(1.1, bias=0.95, n=10**10)), {"at its floor"}),
    ("fig31", "fig31_bias", scaled("w2_squared", at(0.99, bias=0.95, n=10**10)), {"above its floor"}),
    (
        "fig31",
        "fig31_bias",
        scaled("w2_squared", lambda table: table["n"] ** -1.0),
        {"above", "at its floor", "slower"},
    ),
]


@pytest.mark.parametrize(("figure", "sweep", "spoil", "failing"), WRONG)
def test_wrong_numbers_are_caught(
    figure: str, sweep: str, spoil: Callable[[pd.DataFrame], None], failing: set[str]
) -> None:
    measured = {name: made_up(name) for name in script(figure).SWEEPS}
    spoil(measured[sweep].table)
    failed = [claim.text for claim in found(figure, *measured.values()).claims if not claim.holds]
    assert all(any(part in text for text in failed) for part in failing), failed
    assert len(failed) == len(failing), failed


def test_what_the_paper_says_and_numbers_need_not_bear_out_is_a_question() -> None:
    flatter = made_up("fig31")
    assert [each.holds for each in found("fig31", flatter, made_up("fig31_bias")).questions] == [True]
    flatter.table["w2_squared"] *= flatter.table["n"] ** np.where(flatter.table["p"] == 1, 0.01, 0.0)
    assert [each.holds for each in found("fig31", flatter, made_up("fig31_bias")).questions] == [False]


# From end to end


def test_a_small_sweep_goes_through_the_script_of_its_figure(tmp_path: Path) -> None:
    small = ("theory.d=3", "theory.n_r=20", "theory.n_s=60", "theory.rtol=5e-3", "grid.memory=[1, 2, 4]")
    prepared = prepare(sweep_file("fig30", *small), store=Store.open(tmp_path / "store"), data=None)
    run(prepared, executor=execute_here, display=Nothing())
    of_figure = script("fig30")
    arguments = ["--store", str(tmp_path / "store"), "--results", str(tmp_path / "results")]
    assert main(of_figure.__file__, of_figure.SWEEPS, of_figure.find, arguments) == 0
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"fig30.png", "fig30.csv", "fig30.md"}
