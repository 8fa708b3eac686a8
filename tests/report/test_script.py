"""Scripts of figures: finished sweeps in; a picture, a table and claims out; the exit code says how it went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.errors import BadInput
from madray.report.claims import Claim
from madray.report.measured import Measured, estimates, groups, read
from madray.report.script import Findings, MorePicture, main, run_on, write
from madray.report.style import new_figure
from madray.results import SweepResults
from madray.running import Nothing
from madray.spec.reading import check_sweep
from madray.store import Store

TINY: dict[str, Any] = {
    "name": "tiny",
    "theory": {"kind": "limit", "d": 2, "n_s": 20, "lambda": 0.9, "rtol": 0.1},
    "grid": {"n_r": [20, 10]},
}
RISES, FALLS = Claim("it rises", True, "by 2"), Claim("it falls", False, "by −2")
OPEN = Claim("it stays", None, "by 1 ± 2")


def make(place: Path, raw: dict[str, Any], executor: Any = execute_here) -> None:
    prepared = prepare(check_sweep(raw, name="test"), store=Store.open(place), data=None)
    run(prepared, executor=executor, display=Nothing())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report")
    make(place, TINY)
    make(place, {**TINY, "name": "seeds", "seeds": 2})
    make(place, {**TINY, "name": "begun", "theory": {**TINY["theory"], "n_s": 30}}, lambda *_: None)
    return place


def script(
    store: Path,
    results: Path,
    claims: Sequence[Claim],
    questions: Sequence[Claim] = (),
    sweeps: Sequence[str] = ("tiny",),
) -> int:
    def find(*measured: Measured) -> Findings:
        figure = new_figure(height=1.0)
        figure.subplots()
        return Findings("What is tiny", figure, measured[0].table, claims, questions, "All made up.")

    arguments = ["--store", str(store), "--results", str(results)]
    return main("somewhere/tiny_figure.py", sweeps, find, arguments)


def test_a_finished_sweep_is_read_with_what_is_constant_in_it(store: Path) -> None:
    measured = read(str(store), "tiny")
    assert measured.constant("lambda") == 0.9
    assert measured.constant("n_s") == 20
    assert measured.table["n_r"].tolist() == [10, 20]
    assert "seed" not in measured.table
    assert (estimates(measured.table, "n_e").mean > 10).all()


def test_a_field_that_varies_is_no_constant(store: Path) -> None:
    with pytest.raises(
        BadInput, match="tiny: expected one n_r for all cells, got kind, d, n_s, lambda, rtol alone"
    ):
        read(str(store), "tiny").constant("n_r")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("begun", "begun: expected all 2 rows of the sweep, got 0; try madray resume begun"),
        ("seeds", "seeds: expected one seed, got 2; try --set seeds=1"),
        ("unknown", "got 'unknown'; there are: begun, seeds, tiny"),
    ],
)
def test_a_sweep_that_cannot_be_used_is_refused_in_one_line(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    assert script(store, tmp_path / "results", [RISES], sweeps=[name]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tiny_figure: ")
    assert error.endswith(f"{told}\n")
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_script_writes_a_picture_a_table_and_a_page(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script(store, tmp_path / "results", [RISES]) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "results").iterdir()}
    assert set(files) == {"tiny_figure.png", "tiny_figure.csv", "tiny_figure.md"}
    assert files["tiny_figure.csv"].startswith(b"n_r,w2_squared,w2_squared_standard_error,n_e,")
    page = files["tiny_figure.md"].decode()
    for part in (
        "# What is tiny\n",
        "(tiny_figure.png)",
        "| yes | it rises | by 2 |",
        "All made up.",
        "| 10 | ",
    ):
        assert part in page
    assert "## Questions" not in page
    assert capsys.readouterr().out.splitlines()[0] == "holds: it rises (by 2)"


def test_one_claim_that_does_not_hold_fails_the_script_which_writes_all_the_same(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script(store, tmp_path, [RISES, FALLS]) == 1
    assert "FAILS: it falls (by −2)" in capsys.readouterr().out
    assert "| **no** | it falls | by −2 |" in (tmp_path / "tiny_figure.md").read_text("utf-8")


def test_a_question_may_be_answered_with_no(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script(store, tmp_path, [RISES], questions=[FALLS, RISES]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["no: it falls (by −2)", "yes: it rises (by 2)"]
    assert "## Questions" in (tmp_path / "tiny_figure.md").read_text("utf-8")


def test_what_is_not_decided_is_told_so_and_does_not_pass(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script(store, tmp_path, [RISES], questions=[OPEN]) == 0
    assert script(store, tmp_path, [RISES, OPEN], questions=[OPEN]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:-1] == ["not decided: it stays (by 1 ± 2)"] * 2
    assert "| not decided | it stays | by 1 ± 2 |" in (tmp_path / "tiny_figure.md").read_text("utf-8")


def test_a_script_run_again_writes_the_same_bytes(store: Path, tmp_path: Path) -> None:
    written: list[dict[str, bytes]] = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        script(store, folder, [RISES])
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]


def test_what_was_found_stands_under_the_title(tmp_path: Path) -> None:
    figure = new_figure(height=1.0)
    findings = Findings("What is tiny", figure, pd.DataFrame({"n": [1]}), [RISES], summary="It rises by 2.")
    write(findings, tmp_path, "tiny")
    page = (tmp_path / "tiny.md").read_text("utf-8")
    assert page.startswith("# What is tiny\n\nIt rises by 2.\n\n![What is tiny](tiny.png)\n")


def test_further_pictures_are_written_beside_the_figure_and_shown_on_its_page(tmp_path: Path) -> None:
    figure = new_figure(height=1.0)
    figure.subplots()
    more = {"map": MorePicture("What is on the map", figure)}
    findings = Findings(
        "What is tiny", figure, pd.DataFrame({"n": [1]}), [RISES], more=more, how_sure="Quite."
    )
    write(findings, tmp_path, "tiny")
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.png", "tiny_map.png", "tiny.csv", "tiny.md"}
    page = (tmp_path / "tiny.md").read_text("utf-8")
    assert "## What is on the map\n\n![What is on the map](tiny_map.png)\n" in page
    assert "## Claims\n\nQuite.\n" in page


def test_numbers_of_each_seed_are_written_beside_the_table_and_named_under_it(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    per_seed = pd.DataFrame({"seed": [0, 1], "slope": [1.5, -2.0]})

    def find(sweep: SweepResults) -> Findings:
        figure = new_figure(height=1.0)
        return Findings(sweep.name, figure, pd.DataFrame({"n": [1]}), [RISES], per_seed=per_seed)

    assert run_on("somewhere/tiny.py", find, ["--store", str(store), "--results", str(tmp_path)]) == 0
    names = {"tiny.png", "tiny.csv", "tiny_seeds.csv", "tiny.md"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "tiny_seeds.csv").read_bytes() == b"seed,slope\n0,1.5\n1,-2\n"
    under = (tmp_path / "tiny.md").read_text("utf-8").partition("| n |")[2]
    assert "[tiny_seeds.csv](tiny_seeds.csv)" in under
    assert capsys.readouterr().out.endswith(".png, .csv, _seeds.csv, .md\n")


@pytest.mark.parametrize(("chosen", "name"), [([], "tiny"), (["--sweep", "seeds"], "seeds")])
def test_a_script_is_run_on_the_sweep_of_its_name_or_the_one_that_is_named(
    store: Path, tmp_path: Path, chosen: list[str], name: str
) -> None:
    def find(sweep: SweepResults) -> Findings:
        figure = new_figure(height=1.0)
        return Findings(sweep.name, figure, sweep.table(), [RISES])

    arguments = ["--store", str(store), "--results", str(tmp_path), *chosen]
    assert run_on("somewhere/tiny.py", find, arguments) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{ending}" for ending in ("png", "csv", "md")
    }
    assert (tmp_path / f"{name}.md").read_text("utf-8").startswith(f"# {name}\n")


def test_a_sweep_that_is_not_there_is_told_in_one_line_by_the_script(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--store", str(store), "--results", str(tmp_path / "results"), "--sweep", "none"]
    assert run_on("somewhere/tiny.py", lambda sweep: pytest.fail("there is none"), arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("tiny: expected the name of a sweep in ")
    assert told.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_groups_come_in_the_order_of_their_values_and_keep_that_of_their_rows() -> None:
    frame = pd.DataFrame({"p": [1.0, 0.5, 1.0], "n": [3, 2, 1]})
    found = groups(frame, "p")
    assert [value for value, _ in found] == [0.5, 1.0]
    assert [group["n"].tolist() for _, group in found] == [[2], [3, 1]]
