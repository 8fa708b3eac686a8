"""Sweep files: what they mean once they are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from madray.errors import BadInput
from madray.spec.base import short
from madray.spec.chain import Chain
from madray.spec.generators import DDPM, Gaussian
from madray.spec.loops import Loop
from madray.spec.metrics import FID, W2, Identity, Modes, PrecisionRecall, Variance
from madray.spec.reading import SweepFile, check_sweep, label, parse_sweep, plain, read_sweep
from madray.spec.references import MNIST
from madray.spec.sweep import Resources, Sweep

EXAMPLE = """
name: mnist-lambda
chain:
  reference: mnist
  generator: {kind: ddpm, timesteps: 500}
  loop: fully_synthetic          # or {real: fixed+fresh, synthetic: accumulate}
  lambda: 1.0
  n_ini: 6000
  n_r: 6000                      # refused where no cell's loop has a real part
  n_s: 6000
  n_eval: 5000
  memory: 1
  generations: 10
grid:
  loop: [fully_synthetic, synthetic_augmentation, fresh_data]
  lambda: [1.0, 0.8, 0.5]
seeds: 3                         # or a list
resources: {cpus: 1, gpus: 0.25, concurrent: 4}
"""

SMALL = """
name: small
chain: {reference: gaussian, generator: gaussian, loop: fully_synthetic, n_ini: 10, n_s: 10, generations: 2}
"""


def read(text: str = SMALL, *overrides: str) -> SweepFile:
    return parse_sweep(text, name="x.yaml", overrides=overrides)


def only(file: SweepFile) -> Chain:
    """The chain of a sweep of one cell."""
    (cell,) = file.cells
    return cell.chain


def test_the_issues_example_is_read_without_any_data() -> None:
    file = read(EXAMPLE)
    assert file.sweep.name == "mnist-lambda"
    assert file.sweep.seed_list == [0, 1, 2]
    assert file.sweep.resources == Resources(cpus=1, gpus=0.25, concurrent=4)
    assert len(file.cells) == 9
    assert [cell.point["loop"] for cell in file.cells[::3]] == list(yaml.safe_load(EXAMPLE)["grid"]["loop"])
    for cell in file.cells:
        chain = cell.chain
        assert chain.reference == MNIST()
        assert chain.generator == DDPM(timesteps=500)
        assert chain.loop.written() == cell.point["loop"]
        assert chain.bias == cell.point["lambda"]
        assert (chain.n_ini, chain.n_s, chain.n_eval, chain.memory, chain.generations) == (
            6000,
            6000,
            5000,
            1,
            10,
        )
        assert chain.real_size == (0 if cell.point["loop"] == "fully_synthetic" else 6000)


def test_cells_are_all_combinations_in_the_order_of_the_file() -> None:
    file = read(SMALL + "grid: {lambda: [1, 0.5], generator.chunk: [7, 8]}")
    points = [(1, 7), (1, 8), (0.5, 7), (0.5, 8)]
    assert [(cell.point["lambda"], cell.point["generator.chunk"]) for cell in file.cells] == points
    assert [(cell.chain.bias, cell.chain.generator.chunk) for cell in file.cells] == points


def test_a_sweep_without_a_grid_has_one_cell() -> None:
    assert only(read()).generator == Gaussian()
    assert read().cells[0].point == {}


def test_a_grid_over_settings_keeps_the_others() -> None:
    text = SMALL.replace("generator: gaussian", "generator: {kind: ddpm, width: 64}")
    file = read(text + "grid: {generator.timesteps: [5, 10]}")
    assert [cell.chain.generator for cell in file.cells] == [
        DDPM(width=64, timesteps=5),
        DDPM(width=64, timesteps=10),
    ]


def test_a_grid_may_change_a_bare_name_into_a_mapping() -> None:
    text = SMALL.replace("generator: gaussian", "generator: ddpm")
    assert only(read(text + "grid: {generator.timesteps: [5]}")).generator == DDPM(timesteps=5)


def test_one_cells_values_do_not_reach_the_next() -> None:
    loops = "[{kind: fully_synthetic, split: equal}, fully_synthetic]"
    file = read(SMALL + f"grid: {{loop: {loops}, loop.synthetic: [memory, latest]}}")
    assert [(cell.chain.loop.split, cell.chain.loop.synthetic) for cell in file.cells] == [
        ("equal", "memory"),
        ("equal", "latest"),
        ("sample", "memory"),
        ("sample", "latest"),
    ]


def test_the_text_of_a_sweep_says_it_again() -> None:
    file = read(EXAMPLE, "seeds=[4, 2]", "chain.lambda=1e-3", "chain.generator.learning_rate=1e-05")
    again = parse_sweep(file.text, name="again")
    assert again == SweepFile(file.sweep, file.cells, again.text)
    assert again.text == file.text
    assert again.sweep.seed_list == [2, 4]


def test_a_sweep_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "λ.yaml"
    file.write_text(SMALL, encoding="utf-8")
    assert read_sweep(file, ["chain.n_s=3"]).cells == read(SMALL, "chain.n_s=3").cells


def test_plain_data_make_a_sweep_as_a_text_does() -> None:
    assert check_sweep(yaml.safe_load(EXAMPLE), name="x").cells == read(EXAMPLE).cells


def test_settings_and_numbers_of_numpy_may_stand_where_python_makes_a_sweep() -> None:
    raw = yaml.safe_load(SMALL)
    raw["chain"] |= {"generator": DDPM(timesteps=5), "loop": Loop(real="none", synthetic="accumulate")}
    raw["chain"]["metrics"] = [FID(), PrecisionRecall(k=3)]
    raw["grid"] = {"lambda": list(np.linspace(0.5, 1, 3))}
    file = check_sweep(raw, name="x")
    again = parse_sweep(file.text, name="again")
    assert [cell.chain for cell in again.cells] == [cell.chain for cell in file.cells]
    assert [cell.chain.bias for cell in again.cells] == [0.5, 0.75, 1.0]
    assert again.cells[0].chain.generator == DDPM(timesteps=5)


# --- YAML as people write it ---


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1e-3", 0.001),
        ("1E-1", 0.1),
        ("5.e-1", 0.5),
        (".5e0", 0.5),
        ("1e0", 1.0),
        ("+1e-2", 0.01),
        ("0.5", 0.5),
    ],
)
def test_numbers_are_numbers_however_they_are_written(written: str, number: float) -> None:
    assert only(read(SMALL + f"grid: {{lambda: [{written}]}}")).bias == number
    assert only(read(SMALL, f"chain.lambda={written}")).bias == number


@pytest.mark.parametrize("written", ["'1e-3'", "1e", "e-3", "1e-3x", "1.2.3e4"])
def test_what_is_no_number_stays_text(written: str) -> None:
    with pytest.raises(BadInput, match="expected a number, got '"):
        read(SMALL, f"chain.lambda={written}")


def test_what_a_merge_brings_may_be_replaced() -> None:
    anchors = """
name: merged
chain:
  reference: gaussian
  generator: &base {kind: ddpm, timesteps: 5, width: 16}
  loop: fully_synthetic
  n_ini: 10
  n_s: 10
  generations: 2
grid:
  generator:
    - &wide {<<: *base, width: 32}
    - {<<: *wide, timesteps: 6}
"""
    assert [cell.chain.generator for cell in read(anchors).cells] == [
        DDPM(timesteps=5, width=32),
        DDPM(timesteps=6, width=32),
    ]


# --- --set ---


def test_an_override_sets_a_field() -> None:
    assert only(read(SMALL, "chain.generations=7")).generations == 7
    assert read(SMALL, "name=other").sweep.name == "other"
    assert read(SMALL, "seeds=[3, 1]").sweep.seed_list == [1, 3]
    assert read(SMALL, "resources.gpus=0.5").sweep.resources.gpus == 0.5


def test_an_override_reaches_into_settings() -> None:
    text = SMALL.replace("generator: gaussian", "generator: {kind: ddpm, width: 64}")
    assert only(read(text, "chain.generator.timesteps=5")).generator == DDPM(width=64, timesteps=5)


def test_an_override_makes_a_bare_name_a_mapping() -> None:
    assert only(read(SMALL, "chain.loop.synthetic=accumulate")).loop == Loop(
        real="none", synthetic="accumulate"
    )


def test_an_override_takes_any_yaml() -> None:
    chain = only(read(SMALL, "chain.generator={kind: ddpm, timesteps: 5}", "chain.metrics=[fid, w2]"))
    assert (chain.generator, chain.metrics) == (DDPM(timesteps=5), [FID(), W2()])
    assert only(read(SMALL, "chain.n_fixed=null")).n_fixed is None


def test_later_overrides_win_and_see_earlier_ones() -> None:
    assert only(read(SMALL, "chain.n_s=3", "chain.n_s=4")).n_s == 4
    chain = only(read(SMALL, "chain.generator=ddpm", "chain.generator.timesteps=5"))
    assert chain.generator == DDPM(timesteps=5)


def test_an_override_of_the_grid_is_of_one_of_its_fields_by_its_dotted_name() -> None:
    file = read(SMALL, "grid.lambda=[1, 0.5]", "grid.generator.chunk=[5]")
    assert dict(file.sweep.grid) == {"lambda": [1, 0.5], "generator.chunk": [5]}
    changed = read(EXAMPLE, "grid.lambda=[0.3]")
    assert [cell.chain.bias for cell in changed.cells] == [0.3] * 3


def test_a_value_may_hold_an_equals_sign() -> None:
    with pytest.raises(BadInput, match="got 'a=b'"):
        read(SMALL, "name=a=b")


# --- seeds, keep, resources ---


@pytest.mark.parametrize(
    ("written", "seeds"), [("1", [0]), ("3", [0, 1, 2]), ("[5]", [5]), ("[7, 0, 3]", [0, 3, 7])]
)
def test_seeds_are_how_many_or_which(written: str, seeds: list[int]) -> None:
    assert read(SMALL, f"seeds={written}").sweep.seed_list == seeds


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("all", [1, 2, 3, 4, 5, 6, 7]),
        ("every 1", [1, 2, 3, 4, 5, 6, 7]),
        ("{every: 3}", [3, 6, 7]),
        ("every 2", [2, 4, 6, 7]),
        ("every 3", [3, 6, 7]),
        ("every 7", [7]),
        ("every 10", [7]),
        ("last", [7]),
    ],
)
def test_what_is_kept_is_as_the_file_says_and_the_last_always(written: str, kept: list[int]) -> None:
    keep = read(SMALL, f"keep={written}").sweep.keep
    assert [t for t in range(1, 8) if keep.keeps(t, last=7)] == kept
    assert Sweep.model_validate({"name": "x", "chain": {}, "keep": keep.written()}).keep == keep


def test_all_is_kept_where_the_file_says_nothing() -> None:
    assert read().sweep.keep.written() == "all"


# --- loops and sizes ---


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fully_synthetic", {"real": "none", "synthetic": "latest"}),
        ("synthetic_augmentation", {"real": "fixed", "synthetic": "latest"}),
        ("fresh_data", {"real": "fresh", "synthetic": "latest"}),
        ("real_only", {"real": "fresh", "synthetic": "none"}),
    ],
)
def test_a_named_loop_is_its_parts(name: str, parts: dict[str, str]) -> None:
    text = SMALL.replace("n_s: 10", "p: 0.5, n: 10")
    loops = [
        only(read(text, f"chain.loop={json.dumps(written)}")).loop
        for written in (name, {"kind": name}, parts, {**parts, "split": "sample"})
    ]
    assert loops == [Loop.model_validate(parts)] * 4


def test_a_named_loop_may_have_a_part_changed() -> None:
    loop = only(
        read(SMALL, "chain.n_r=5", "chain.loop={kind: synthetic_augmentation, synthetic: accumulate}")
    ).loop
    assert loop == Loop(real="fixed", synthetic="accumulate")


@pytest.mark.parametrize(
    ("p", "n", "loop", "n_r", "n_s"),
    [
        (0.25, 100, "fresh_data", 25, 75),
        (1 / 3, 100, "fresh_data", 33, 67),
        (0.0, 100, "synthetic_augmentation", 0, 100),
        (1.0, 100, "fresh_data", 100, 0),
        (0.25, 100, "fully_synthetic", 0, 75),
        (0.25, 100, "real_only", 25, 0),
        (1.0, 100, "real_only", 100, 0),
        (0.6, 1, "fresh_data", 1, 0),
    ],
)
def test_p_and_n_stand_for_n_r_and_n_s(p: float, n: int, loop: str, n_r: int, n_s: int) -> None:
    text = SMALL.replace("n_s: 10", f"p: {p}, n: {n}").replace("fully_synthetic", loop)
    chain = only(read(text))
    assert (chain.real_size, chain.synthetic_size) == (n_r, n_s)


def test_sizes_count_where_the_loop_has_that_part() -> None:
    file = read(SMALL + "grid: {loop: [fully_synthetic, fresh_data, real_only]}", "chain.n_r=3")
    assert [(cell.chain.real_size, cell.chain.synthetic_size) for cell in file.cells] == [
        (0, 10),
        (3, 10),
        (3, 0),
    ]


def test_fixed_samples_stand_beside_fresh_ones() -> None:
    chain = only(
        read(SMALL, "chain.n_r=5", "chain.n_fixed=2", "chain.loop={real: fixed+fresh, synthetic: accumulate}")
    )
    assert (chain.n_fixed, chain.real_size, chain.synthetic_size) == (2, 5, 10)


# --- what is measured ---


@pytest.mark.parametrize(
    ("reference", "generator", "metrics"),
    [
        ("gaussian", "gaussian", (W2(), Variance())),
        ("gaussian", "gmm", (FID(), PrecisionRecall(), Variance())),
        ("gmm25", "gmm", (FID(), PrecisionRecall(), Variance(), Modes())),
        ("digits", "ddpm", (FID(), PrecisionRecall(), Variance())),
    ],
)
def test_metrics_are_chosen_by_what_is_measured(
    reference: str, generator: str, metrics: tuple[Any, ...]
) -> None:
    names = (f"chain.reference={reference}", f"chain.generator={generator}")
    chain = only(read(SMALL, *names, "chain.n_ini=25"))
    assert chain.measured == metrics
    assert chain.extractor == Identity()


def test_metrics_that_were_asked_for_are_those_measured() -> None:
    chain = only(read(SMALL, "chain.metrics=[variance, {kind: precision_recall, k: 3}]"))
    assert chain.measured == (Variance(), PrecisionRecall(k=3))


# --- how cells are called ---


def test_cells_are_called_by_their_point() -> None:
    assert label({}) == "the only cell"
    point = {"loop": {"real": "fresh", "synthetic": "none"}, "lambda": 1.0}
    assert label(point) == 'loop={"real":"fresh","synthetic":"none"}, lambda=1'


@pytest.mark.parametrize(
    ("value", "text"),
    [("fid", "fid"), (1.0, "1"), (0.5, "0.5"), (True, "true"), (None, "null"), (float("nan"), "nan")],
)
def test_values_are_short_texts(value: object, text: str) -> None:
    assert plain(value) == text


def test_settings_are_written_so_that_they_are_read_again() -> None:
    for cell in read(EXAMPLE).cells:
        chain = cell.chain
        raw = chain.model_dump(mode="json", by_alias=True)
        assert raw["generator"] == short(chain.generator)
        assert Chain.model_validate(raw) == chain


def test_reading_a_sweep_loads_neither_torch_nor_ray(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(EXAMPLE)
    code = (
        "import sys; from pathlib import Path; from madray.spec.reading import read_sweep; "
        f"assert len(read_sweep(Path({str(file)!r})).cells) == 9; "
        "print([name for name in ('torch', 'ray', 'mlflow', 'pyarrow', 'sklearn', 'scipy', 'pandas') "
        "if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), capture_output=True, check=True, text=True
    )
    assert found.stdout == "[]\n"
