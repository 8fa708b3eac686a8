"""Sweep files that extend others: what counts, what is told, and that nothing of it is left once it is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from madray.errors import BadInput
from madray.spec.generators import DDPM, GMM
from madray.spec.loops import Loop
from madray.spec.reading import AnyFile, SweepFile, check_sweep, parse_sweep, read_sweep

BASE = """
name: base
chain:
  reference: digits
  generator: {kind: ddpm, width: 64, timesteps: 5}
  loop: fully_synthetic
  n_ini: 10
  n_s: 10
  n_eval: 50
  generations: 2
grid:
  lambda: [1.0, 0.5]
  generator.depth: [2, 3]
seeds: 3
resources: {cpus: 2, gpus: 0.5}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    return tmp_path


def extended(place: Path, text: str, *overrides: str) -> SweepFile:
    """The sweep of a file that extends the base."""
    file = read_sweep(write(place, "over.yaml", f"extends: base.yaml\n{text}"), overrides)
    assert isinstance(file, SweepFile)
    return file


def write(place: Path, name: str, text: str) -> Path:
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, *overrides: str) -> str:
    """What a file is refused with, its folder left out."""
    with pytest.raises(BadInput) as error:
        read_sweep(path, overrides)
    told = str(error.value)
    assert "\n" not in told
    return told.replace(f"{path.parent}/", "")


def generators(file: AnyFile) -> list[object]:
    assert isinstance(file, SweepFile)
    return [cell.chain.generator for cell in file.cells]


def test_a_file_with_nothing_of_its_own_is_the_other_file(place: Path) -> None:
    assert extended(place, "").text == read_sweep(place / "base.yaml").text


def test_mappings_are_merged_and_numbers_and_names_replaced(place: Path) -> None:
    file = extended(place, "name: over\nchain: {n_s: 7}\nresources: {gpus: 1}\nseeds: [4, 5]")
    sweep = file.sweep
    assert (sweep.name, sweep.seed_list) == ("over", [4, 5])
    assert (sweep.resources.cpus, sweep.resources.gpus) == (2, 1)
    assert {(cell.chain.n_ini, cell.chain.n_s) for cell in file.cells} == {(10, 7)}
    assert len(file.cells) == 4


def test_lists_are_replaced_and_grids_joined(place: Path) -> None:
    file = extended(place, "grid: {lambda: [0.3], n_ini: [5, 6]}")
    assert dict(file.sweep.grid) == {"lambda": [0.3], "generator.depth": [2, 3], "n_ini": [5, 6]}


def test_settings_of_one_kind_are_merged_and_those_of_another_replace_them(place: Path) -> None:
    narrow = extended(place, "chain: {generator: {width: 32}}")
    assert generators(narrow)[0] == DDPM(width=32, timesteps=5, depth=2)
    assert generators(extended(place, "chain: {generator: {kind: ddpm, steps: 200}}"))[0] == DDPM(
        width=64, timesteps=5, depth=2, steps=200
    )
    replaced = "chain: {generator: {kind: gmm, components: 3}}\ngrid: {generator.restarts: [2]}"
    write(place, "one.yaml", "extends: base.yaml\nchain: {lambda: 1, generator: {depth: 2}}")
    other = read_sweep(write(place, "gmm.yaml", f"extends: one.yaml\n{replaced}"))
    assert generators(other) == [GMM(components=3, restarts=2)]


def test_a_bare_name_stands_for_its_kind_and_replaces_all_settings(place: Path) -> None:
    write(place, "bare.yaml", "extends: base.yaml\nchain: {generator: ddpm, loop: {synthetic: accumulate}}")
    wide = read_sweep(write(place, "wide.yaml", "extends: bare.yaml\nchain: {generator: {width: 8}}"))
    assert isinstance(wide, SweepFile)
    assert generators(wide)[0] == DDPM(width=8, depth=2)
    assert wide.cells[0].chain.loop == Loop(real="none", synthetic="accumulate")


def test_what_a_file_fixes_is_no_longer_varied(place: Path) -> None:
    file = extended(place, "chain: {lambda: 0.7}")
    assert list(file.sweep.grid) == ["generator.depth"]
    assert {cell.chain.bias for cell in file.cells} == {0.7}
    one = extended(place, "chain: {lambda: 0.7, generator: {depth: 4}}")
    assert [cell.chain.generator for cell in one.cells] == [DDPM(width=64, timesteps=5, depth=4)]


def test_what_a_file_fixes_and_varies_itself_is_varied_as_in_any_file(place: Path) -> None:
    file = extended(place, "chain: {lambda: 0.7}\ngrid: {lambda: [0.2, 0.1]}")
    assert {cell.chain.bias for cell in file.cells} == {0.2, 0.1}


def test_overrides_come_last(place: Path) -> None:
    file = extended(place, "chain: {n_s: 7}", "chain.n_s=8", "grid.lambda=[1]")
    assert {(cell.chain.n_s, cell.chain.bias) for cell in file.cells} == {(8, 1)}


def test_files_extend_each_other_over_several_steps_each_from_its_own_folder(place: Path) -> None:
    write(place, "small/medium.yaml", "extends: ../base.yaml\nname: medium\nchain: {n_s: 8, n_ini: 8}")
    file = read_sweep(write(place, "small/small.yaml", "extends: medium.yaml\nchain: {n_s: 4}"))
    assert isinstance(file, SweepFile)
    assert (file.sweep.name, file.cells[0].chain.n_s, file.cells[0].chain.n_ini) == ("medium", 4, 8)


def test_sweeps_of_theory_extend_each_other_too(place: Path) -> None:
    limit = "name: t\ntheory: {kind: limit, d: 5, n_r: 10, n_s: 20}\ngrid: {lambda: [1.0, 0.5]}"
    write(place, "limit.yaml", limit)
    file = read_sweep(write(place, "over.yaml", "extends: limit.yaml\ntheory: {d: 3, lambda: 0.9}"))
    assert [(dict(cell.point), cell.theory.bias, cell.theory.d) for cell in file.cells] == [({}, 0.9, 3)]  # type: ignore[union-attr]


def test_what_is_stored_extends_nothing_and_is_read_again(place: Path) -> None:
    file = extended(place, "name: over\nchain: {generator: {width: 32}, lambda: 0.5}")
    assert "extends" not in yaml.safe_load(file.text)
    assert parse_sweep(file.text, name="again") == file


def test_a_text_extends_nothing() -> None:
    told = r"^x: extends: expected a file, beside which the other one lies, got a mere text$"
    with pytest.raises(BadInput, match=told):
        parse_sweep("extends: base.yaml", name="x")
    with pytest.raises(BadInput, match=told):
        check_sweep({"extends": "base.yaml"}, name="x")


def test_problems_of_what_is_merged_name_both_files(place: Path) -> None:
    path = write(place, "over.yaml", "extends: base.yaml\nchain: {n_s: 0}")
    assert refused(path).startswith(
        "over.yaml, which extends base.yaml: chain.n_s: expected a number above 0, got 0"
    )
    path = write(place, "last.yaml", "extends: over.yaml\nchain: {n_r: 5}")
    assert refused(path).startswith("last.yaml, which extends over.yaml, which extends base.yaml: chain.n_s:")


def test_settings_that_a_replaced_part_had_are_told(place: Path) -> None:
    path = write(place, "over.yaml", "extends: base.yaml\nchain: {generator: {kind: gmm}, lambda: 1}")
    assert refused(path).startswith(
        "over.yaml, which extends base.yaml: grid.generator.depth: expected a known field, got 'depth'; "
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("extends: none.yaml", "over.yaml, which extends none.yaml: expected a sweep file, got [Errno 2]"),
        ("extends: broken.yaml", "over.yaml, which extends broken.yaml: expected YAML, got while parsing"),
        ("extends: list.yaml", "over.yaml, which extends list.yaml: expected a mapping with name and chain"),
        ("extends: [base.yaml]", "over.yaml: extends: expected the path of a sweep file, got ['base.yaml']"),
        ("extends:", "over.yaml: extends: expected the path of a sweep file, got None"),
        ("extends: ''", "over.yaml: extends: expected the path of a sweep file, got ''"),
        (
            "extends: over.yaml",
            "over.yaml: extends: expected files that do not extend themselves, got over.yaml → over.yaml",
        ),
        (
            "extends: circle.yaml",
            "circle.yaml: extends: expected files that do not extend themselves, "
            "got over.yaml → circle.yaml → over.yaml",
        ),
    ],
)
def test_files_that_cannot_be_extended_are_told_in_one_line(place: Path, text: str, told: str) -> None:
    write(place, "broken.yaml", "name: [a")
    write(place, "list.yaml", "[a]")
    write(place, "circle.yaml", "extends: over.yaml")
    assert refused(write(place, "over.yaml", text)).startswith(told)


def test_the_field_is_no_override(place: Path) -> None:
    told = refused(place / "base.yaml", "extends=other.yaml")
    assert told.startswith("--set extends: expected a field of the sweep to begin it, got 'extends'")
