"""Sweeps of theory as files say them: what they mean, what is refused, and what stands in keys."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import yaml

from madray.errors import BadInput
from madray.spec.reading import SweepFile, TheoryFile, check_sweep, parse_sweep
from madray.spec.theory import KINDS, Boundary, Limit, Simulate, read_theory, theory_fields, with_errors

SIMULATE = """
name: small
theory: {kind: simulate, d: 10, n_r: 20, n_s: 80, n_ini: 50, generations: 4, replicates: 30}
"""
LIMIT = "{name: small, theory: {kind: limit, d: 10, n_r: 20, n_s: 80}}"
BOUNDARY = "{name: small, theory: {kind: boundary, d: 10, n_r: 20}}"
CHAIN = """
name: small
chain: {reference: gaussian, generator: gaussian, loop: fully_synthetic, n_ini: 10, n_s: 10, generations: 2}
"""


def read(text: str, *overrides: str) -> TheoryFile:
    file = parse_sweep(text, name="x.yaml", overrides=overrides)
    assert isinstance(file, TheoryFile)
    return file


def only(text: str, *overrides: str) -> Any:
    """What the one cell of a sweep calculates."""
    (cell,) = read(text, *overrides).cells
    return cell.theory


def test_each_kind_is_read_with_its_defaults() -> None:
    assert only(SIMULATE) == Simulate(d=10, n_r=20, n_s=80, n_ini=50, generations=4, replicates=30)
    assert (only(SIMULATE).real, only(SIMULATE).memory, only(SIMULATE).split) == ("fresh", 1, "sample")
    assert only(LIMIT) == Limit(d=10, n_r=20, n_s=80)
    assert (only(LIMIT).bias, only(LIMIT).rtol) == (1.0, 1e-3)
    assert only(BOUNDARY) == Boundary(d=10, n_r=20)
    assert only(BOUNDARY).rtol == 0.02


def test_a_sweep_of_chains_is_one_still() -> None:
    assert isinstance(parse_sweep(CHAIN, name="x"), SweepFile)


def test_the_grid_varies_any_field() -> None:
    grid = "grid: {lambda: [1, 0.5], n_s: [0, 80], memory: [1, 3], split: [sample, equal], d: [2, 3]}"
    cells = read(SIMULATE + grid).cells
    assert len(cells) == 2**5
    assert cells[-1].point == {"lambda": 0.5, "n_s": 80, "memory": 3, "split": "equal", "d": 3}
    last = cells[-1].theory
    assert (last.bias, last.n_s, last.memory, last.split, last.d) == (0.5, 80, 3, "equal", 3)


def test_the_text_of_a_sweep_says_it_again() -> None:
    file = read(LIMIT, "grid.lambda=[1, 0.9]", "seeds=[3, 1]", "theory.rtol=1e-2")
    again = parse_sweep(file.text, name="again")
    assert again == file
    assert file.sweep.seed_list == [1, 3]
    assert file.cells[1].theory.rtol == 0.01


def test_rows_and_numbers_are_those_of_the_kind() -> None:
    assert (only(SIMULATE).rows, only(SIMULATE).row) == (4, "generation")
    assert [(each.rows, each.row) for each in (only(LIMIT), only(BOUNDARY))] == [(1, "calculation")] * 2
    assert Simulate.names == with_errors("w2_squared", "w2", "trace", "mean_squared_norm")
    assert Limit.names[:3] == ("w2_squared", "w2_squared_standard_error", "n_e")
    assert "n_s_star" in Boundary.names


# --- sizes ---


@pytest.mark.parametrize(
    ("p", "n", "n_r", "n_s"), [(0.25, 100, 25, 75), (1 / 3, 100, 33, 67), (1.0, 9, 9, 0), (0.5, 3, 2, 1)]
)
@pytest.mark.parametrize("text", [SIMULATE, LIMIT])
def test_p_and_n_stand_for_n_r_and_n_s(text: str, p: float, n: int, n_r: int, n_s: int) -> None:
    theory = only(text, "theory.n_r=null", "theory.n_s=null", f"theory.p={p}", f"theory.n={n}")
    assert (theory.real_size, theory.synthetic_size, theory.size) == (n_r, n_s, n)
    written = only(text, f"theory.n_r={n_r}", f"theory.n_s={n_s}")
    assert theory.canonical() == written.canonical()  # they are one calculation


def test_no_real_part_needs_no_n_r() -> None:
    for n_r in ("null", "0"):
        theory = only(SIMULATE, "theory.real=none", f"theory.n_r={n_r}")
        assert (theory.real_size, theory.synthetic_size) == (0, 80)
    assert only(SIMULATE, "theory.n_s=0").synthetic_size == 0


# --- keys ---


def test_what_stands_in_keys_is_what_differs_from_the_defaults() -> None:
    assert only(LIMIT).canonical() == {"kind": "limit", "d": 10, "n_r": 20, "n_s": 80, "version": 1}
    assert only(LIMIT, "theory.rtol=1e-3", "theory.lambda=1").canonical() == only(LIMIT).canonical()
    assert only(LIMIT, "theory.lambda=0.5").canonical()["lambda"] == 0.5
    told = {"kind": "boundary", "d": 10, "n_r": 20, "rtol": 0.1, "version": 1}
    assert only(BOUNDARY, "theory.rtol=0.1").canonical() == told


# --- what is refused ---

REFUSED = [
    (LIMIT, "theory.lambda=0", "theory.lambda: expected λ in (0, 1], got 0.0"),
    (LIMIT, "theory.lambda=1.5", "theory.lambda: expected λ in (0, 1], got 1.5"),
    (LIMIT, "theory.lambda=.nan", "theory.lambda: expected a finite number, got nan"),
    (LIMIT, "theory.lambda=high", "theory.lambda: expected a number, got 'high'"),
    (LIMIT, "grid.lambda=[1, 2]", "grid.lambda: expected λ in (0, 1], got 2.0 (in the cell lambda=2)"),
    (LIMIT, "theory.bias=1", "theory.bias: expected a known field, got 'bias'; did you mean lambda?"),
    (LIMIT, "theory.d=0", "theory.d: expected a number above 0, got 0"),
    (
        LIMIT,
        "theory.n_s=1000000000000001",
        "theory.n_s: expected a number of at most 1e+15, got 1000000000000001",
    ),
    (LIMIT, "theory.d=1.5", "theory.d: expected an integer, got 1.5"),
    (LIMIT, "theory.d=null", "theory.d: expected an integer, got None"),
    (LIMIT, "theory.memory=0", "theory.memory: expected a number above 0, got 0"),
    (LIMIT, "theory.split=some", "theory.split: expected sample or equal, got 'some'"),
    (LIMIT, "theory.rtol=0", "theory.rtol: expected a number above 0, got 0"),
    (LIMIT, "theory.rtol=1", "theory.rtol: expected a number below 1, got 1"),
    (LIMIT, "theory.n_r=-1", "theory.n_r: expected a number of at least 0, got -1"),
    (LIMIT, "theory.n_r=null", "theory.n_r: expected a number of real samples, got none"),
    (LIMIT, "theory.n_s=null", "theory.n_s: expected a number of synthetic samples, got none"),
    (
        LIMIT,
        "theory.n_r=0",
        "theory.n_r: expected 1 or more real samples, without which there is no limit, got n_r = 0",
    ),
    (
        LIMIT,
        "grid.n_r=[5, 0]",
        "grid.n_r: expected 1 or more real samples, without which there is no limit, got n_r = 0 "
        "(in the cell n_r=0)",
    ),
    (
        LIMIT,
        "theory.p=0.5",
        "theory.n: expected p and n together, or neither, got one of them; give n_r and n_s instead",
    ),
    (
        LIMIT.replace("n_r: 20, n_s: 80", "p: 0.001, n: 100"),
        "theory.lambda=1",
        "theory.p: expected 1 or more real samples, without which there is no limit, got n_r = 0",
    ),
    (
        LIMIT.replace("n_r: 20, n_s: 80", "p: 1, n: 1"),
        "theory.d=2",
        "theory.n: expected n_r + n_s of 2 or more, got 1",
    ),
    (
        LIMIT,
        "theory.n=9",
        "theory.p: expected p and n together, or neither, got one of them; give n_r and n_s instead",
    ),
    (
        LIMIT,
        "theory.xyz=3",
        f"theory.xyz: expected a known field, got 'xyz'; there are {', '.join(sorted(Limit.known_fields().values()))}",
    ),
    (SIMULATE, "theory.n_ini=1", "theory.n_ini: expected a number of at least 2, got 1"),
    (SIMULATE, "theory.generations=0", "theory.generations: expected a number above 0, got 0"),
    (SIMULATE, "theory.replicates=0", "theory.replicates: expected a number above 0, got 0"),
    (SIMULATE, "theory.real=old", "theory.real: expected none, fixed or fresh, got 'old'"),
    (SIMULATE, "theory.real=none", "theory.n_r: expected 0 where real is none, got n_r = 20"),
    (
        SIMULATE.replace("n_r: 20, n_s: 80", "p: 0.2, n: 100"),
        "theory.real=none",
        "theory.p: expected 0 where real is none, got n_r = 20",
    ),
    (
        SIMULATE.replace("n_r: 20, n_s: 80", "n_r: 0"),
        "theory.n_s=1",
        "theory.n_s: expected n_r + n_s of 2 or more, got 1",
    ),
    (BOUNDARY, "theory.n_r=1", "theory.n_r: expected a number of at least 2, got 1"),
    (BOUNDARY, "theory.n_s=5", "theory.n_s: expected a known field, got 'n_s'; did you mean n_r?"),
    (
        BOUNDARY,
        "theory.kind=boundry",
        "theory: expected a known kind of theory, got 'boundry'; did you mean boundary?",
    ),
    (
        BOUNDARY,
        "theory.kind=json:loads",
        "theory: expected a known kind of theory, got 'json:loads'; there are boundary, limit, simulate",
    ),
    (
        BOUNDARY,
        "theory.kind=null",
        "theory: expected the name of a kind of theory, or a mapping with `kind`, "
        "got {'kind': None, 'd': 10, 'n_r': 20}",
    ),
    (BOUNDARY, "theory=boundary", "theory: expected a mapping, got 'boundary'"),
    (
        BOUNDARY,
        "grid.kind=[limit]",
        "grid.kind: expected one value for all cells, got a list in the grid; put it under theory",
    ),
    (
        SIMULATE,
        "grid.generations=[2, 3]",
        "grid.generations: expected one value for all cells, got a list in the grid; put it under theory",
    ),
    (BOUNDARY, "grid.n_r=[5, 5]", "grid: expected different cells, got one twice (n_r=5)"),
    (
        BOUNDARY,
        "keep=last",
        "keep: expected a chain, whose weights and samples may go, got theory; leave keep out",
    ),
    (BOUNDARY, "chain={}", "theory: expected a chain or theory, got both; leave one out"),
]


@pytest.mark.parametrize(("text", "override", "told"), REFUSED)
def test_bad_input_is_told_in_one_line(text: str, override: str, told: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_sweep(text, name="x.yaml", overrides=[override])
    assert str(error.value) == f"x.yaml: {told}"
    assert error.value.exit_code == 2


@pytest.mark.parametrize("field", ["d", "n_ini", "generations", "replicates"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    raw = yaml.safe_load(SIMULATE)
    del raw["theory"][field]
    with pytest.raises(BadInput, match=rf"^x: theory\.{field}: expected a value, got none$"):
        check_sweep(raw, name="x")


@pytest.mark.parametrize(
    ("text", "override", "hint"),
    [
        (LIMIT, "d=3", "did you mean theory.d?"),
        (LIMIT, "lambda=0.5", "did you mean theory.lambda?"),
        (LIMIT, "replicates=5", "did you mean theory.replicates?"),
        (CHAIN, "lambda=0.5", "did you mean chain.lambda?"),
    ],
)
def test_an_override_that_begins_with_a_field_is_told_where_that_stands(
    text: str, override: str, hint: str
) -> None:
    with pytest.raises(BadInput) as error:
        parse_sweep(text, name="x", overrides=[override])
    assert str(error.value).endswith(hint)


# --- what settings promise ---


def test_every_kind_refuses_at_construction_and_is_frozen() -> None:
    with pytest.raises(ValueError, match="λ in"):
        Limit.model_validate({"d": 1, "n_r": 2, "n_s": 0, "lambda": 2.0})
    with pytest.raises(ValueError, match="frozen"):
        only(LIMIT).d = 3


def test_theory_fields_are_those_of_all_kinds() -> None:
    assert set(theory_fields()) == {name for kind in KINDS for name in kind.known_fields().values()}
    assert {"d", "lambda", "n_r", "rtol", "replicates"} <= set(theory_fields())


def test_settings_are_written_so_that_they_are_read_again() -> None:
    for text in (SIMULATE, LIMIT, BOUNDARY):
        theory = only(text, "theory.lambda=0.7")
        assert read_theory(theory.model_dump(mode="json", by_alias=True)) == theory


def test_reading_a_sweep_of_theory_loads_neither_torch_nor_scipy() -> None:
    code = (
        "import sys; from madray.spec.reading import parse_sweep; "
        f"assert len(parse_sweep({SIMULATE!r}, name='x').cells) == 1; "
        "print([name for name in ('torch', 'ray', 'mlflow', 'pyarrow', 'scipy', 'madray.theory') "
        "if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), capture_output=True, check=True, text=True
    )
    assert found.stdout == "[]\n"
