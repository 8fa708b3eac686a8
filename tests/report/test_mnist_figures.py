"""The MNIST figures: sweep files have the paper's sizes, right numbers bear claims out, and wrong ones do not.

Numbers are made up on the cells of the sweep files themselves: true ones first, then some wrong in one way each. And
small real sweeps of images go through the scripts, from the file to the pages.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from handwritten import handwritten, write_images
from matplotlib.figure import Figure

from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.errors import BadInput
from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.script import run_on
from madray.running import Nothing
from madray.spec.chain import Chain
from madray.spec.generators import DDPM
from madray.spec.reading import SweepFile, read_sweep
from madray.store import Store
from madray.streams import Stream

ROOT = Path(__file__).parents[2]
FIGURES = ("fig04_mnist", "fig06_mnist", "fig09_mnist", "fig10_mnist", "fig16_mnist")
PROFILES = ("", "_medium", "_small")
SWEEPS = [figure + profile for figure in FIGURES for profile in PROFILES]
REAL_VARIANCE = 52.0


def sweep_file(name: str, *overrides: str) -> SweepFile:
    file = read_sweep(ROOT / "sweeps" / f"{name}.yaml", overrides)
    assert isinstance(file, SweepFile)
    return file


def script(figure: str) -> Any:
    return importlib.import_module(f"analysis.{figure}")


# Sweep files


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_file_has_the_name_of_its_sweep_and_measures_all_by_lenet(name: str) -> None:
    file = sweep_file(name)
    assert file.sweep.name == name
    assert len(file.sweep.seed_list) >= 3
    for cell in file.cells:
        assert cell.chain.extractor.kind == "lenet"
        assert [metric.kind for metric in cell.chain.measured] == [
            "fid",
            "precision_recall",
            "variance",
            "label_accuracy",
        ]
        assert 2 * cell.chain.n_eval <= 60_000  # there is a floor


@pytest.mark.parametrize("figure", FIGURES)
def test_the_sizes_are_the_papers(figure: str) -> None:
    for cell in sweep_file(figure).cells:
        chain = cell.chain
        assert isinstance(chain.generator, DDPM)
        assert (chain.generator.timesteps, chain.generator.label_dropout) == (500, 0.1)
        if figure == "fig10_mnist":
            assert (chain.real_size, chain.synthetic_size) == (2000, 2000)
        else:
            assert (chain.n_ini, chain.synthetic_size) == (60_000, 60_000)
    if figure == "fig09_mnist":
        assert {cell.chain.real_size for cell in sweep_file(figure).cells} == {0, 60_000}


@pytest.mark.parametrize("figure", FIGURES)
def test_smaller_profiles_have_the_loops_of_the_figure(figure: str) -> None:
    loops = [
        {cell.chain.loop.written() for cell in sweep_file(figure + profile).cells} for profile in PROFILES
    ]
    assert loops[0] == loops[1] == loops[2]
    medium, small = sweep_file(f"{figure}_medium"), sweep_file(f"{figure}_small")
    assert {cell.chain.generator.timesteps for cell in [*medium.cells, *small.cells]} == {500}
    assert max(cell.chain.n_ini for cell in medium.cells) == 6000
    assert small.sweep.resources.gpus == 0


def test_what_figures_share_is_made_once() -> None:
    """The unbiased chains of Figures 6 and 9 are Figure 4's, and 16 goes on with them."""

    def unbiased(name: str) -> list[dict[str, Any]]:
        chains = [cell.chain for cell in sweep_file(name).cells]
        settings = [
            chain.canonical()
            for chain in chains
            if chain.bias == 1 and chain.loop.written() == "fully_synthetic"
        ]
        return [
            {name: each[name] for name in each if name not in ("generations", "n_r")} for each in settings
        ]

    for profile in PROFILES:
        told = [unbiased(figure + profile) for figure in FIGURES if figure != "fig10_mnist"]
        assert told[0] == told[1] == told[2] == told[3]


# Made-up numbers that are as the claims have them


def numbers(chain: Chain, t: int) -> dict[str, float]:
    """What a loop of the paper's has at generation t."""
    loop, bias = chain.loop.written(), chain.bias
    if loop == "fresh_data":
        begun = 60 + 60_000 / chain.n_ini
        return {"fid": 90 + (begun - 90) * 0.4 ** (t - 1), "precision": 0.9, "recall": 0.8}
    if loop == "synthetic_augmentation":
        grown = 1 - 0.6 ** (t - 1)
        return {"fid": 60 / bias + 40 * grown / bias, "precision": 0.9, "recall": 0.8 - 0.2 * grown / bias}
    if bias == 1:
        near, left = 0.94 * 0.72 ** (t - 1), 0.9 * 0.66 ** (t - 1)
        return {"fid": 60 + 50 * (t - 1), "precision": near, "recall": left}
    left = 0.8 * bias * (0.5 * bias) ** (t - 1)
    return {"fid": 60 / bias + 60 * (t - 1), "precision": 0.96, "recall": left}


def made_up(name: str, seeds: int = 3) -> Chains:
    """Numbers of the cells of a sweep file, with a hundredth of noise that seeds do not share."""
    file = sweep_file(name)
    rows = []
    for place, cell in enumerate(file.cells):
        for seed in range(seeds):
            for t in range(1, cell.chain.generations + 1):
                rest = {"variance": REAL_VARIANCE * 0.93 ** (t - 1), "label_accuracy": 0.97 * 0.9 ** (t - 1)}
                spread = 1 + 0.003 * Stream.of("made-up", place, seed, t).numpy().standard_normal()
                told = {key: spread * value for key, value in (numbers(cell.chain, t) | rest).items()}
                point = {"lambda": cell.chain.bias, **cell.point}
                rows.append({**point, "seed": seed, "generation": t, **told})
    floors = {
        "fid": 1.5,
        "precision": 0.95,
        "recall": 0.95,
        "variance": REAL_VARIANCE,
        "label_accuracy": 0.99,
    }
    return Chains(name, pd.DataFrame(rows), floors, file.cells[0].chain.n_eval)


def claims(chains: Chains) -> list[Claim]:
    figure = chains.name.removesuffix("_small").removesuffix("_medium")
    found: list[Claim] = script(figure).claims(chains)
    return found


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("name", SWEEPS)
def test_right_numbers_bear_out_all_claims(name: str, seeds: int) -> None:
    found = claims(made_up(name, seeds))
    if name.startswith("fig16") and made_up(name).last < 12:
        found = found[2:]  # the made-up loop is not near 0 so soon
    assert [claim for claim in found if not claim.holds] == []


# Numbers that are wrong in one way


def rows(table: pd.DataFrame, **values: Any) -> pd.Series[bool]:
    chosen = pd.Series(True, index=table.index)
    for name, value in values.items():
        chosen &= table[{"bias": "lambda", "t": "generation"}.get(name, name)] == value
    return chosen


def set_to(column: str, value: float, **where: Any) -> Callable[[Chains], None]:
    def change(chains: Chains) -> None:
        here = where | ({"t": chains.last} if where.get("t") == "last" else {})
        chosen = rows(chains.table, **here)
        chains.table.loc[chosen, column] = value * (1 + 0.001 * chains.table.loc[chosen, "seed"])

    return change


def noisy(column: str) -> Callable[[Chains], None]:
    """Right on average, and of no use: seeds are far apart."""

    def change(chains: Chains) -> None:
        chains.table[column] *= 1 + 0.9 * (chains.table["seed"] - 1) * (chains.table["generation"] - 1) % 3

    return change


def levelled(chains: Chains) -> None:
    chains.table["recall"] = (
        0.9 * 0.66 ** (chains.table["generation"] - 1) * (1 + 0.001 * chains.table["seed"])
    )


WRONG: list[tuple[str, Callable[[Chains], None], set[str]]] = [
    ("fig04_mnist", set_to("fid", 10.0, t="last"), {"FID rises"}),
    ("fig04_mnist", set_to("precision", 0.95, t="last"), {"precision falls"}),
    ("fig04_mnist", set_to("recall", 0.95, t="last"), {"recall falls"}),
    ("fig04_mnist", noisy("fid"), {"FID rises"}),
    ("fig06_mnist", set_to("precision", 0.94, bias=1.0), {"λ = 1: precision falls", "loses less"}),
    ("fig06_mnist", set_to("precision", 0.9, bias=0.8, t="last"), {"precision holds"}),
    ("fig06_mnist", set_to("precision", 0.01, bias=0.5, t="last"), {"precision holds", "loses less"}),
    ("fig06_mnist", levelled, {"recall falls faster"}),
    ("fig06_mnist", set_to("fid", 1.0, bias=0.7, t="last"), {"FID rises"}),
    (
        "fig09_mnist",
        set_to("fid", 5.0, loop="synthetic_augmentation", bias=0.5, t="last"),
        {"FID rises from"},
    ),
    (
        "fig09_mnist",
        set_to("fid", 900.0, loop="synthetic_augmentation", bias=0.8, t="last"),
        {"rises less"},
    ),
    ("fig10_mnist", set_to("fid", 90.0, t=1), {"first models differ", "is left"}),
    ("fig10_mnist", set_to("fid", 125.0, n_ini=500, t="last"), {"is left"}),
    ("fig10_mnist", set_to("fid", 55.0, n_ini=500, t="last"), {"is left"}),
    ("fig16_mnist", set_to("precision", 0.1, bias=1.0, t="last"), {"precision of generation 20"}),
    ("fig16_mnist", set_to("recall", 0.06, bias=1.0, t="last"), {"recall of generation 20"}),
    ("fig16_mnist", set_to("variance", 5.0, bias=1.0, t="last"), {"variance of generation 20"}),
]


@pytest.mark.parametrize(("name", "spoil", "failing"), WRONG)
def test_wrong_numbers_are_caught(name: str, spoil: Callable[[Chains], None], failing: set[str]) -> None:
    chains = made_up(name)
    spoil(chains)
    failed = [claim.text for claim in claims(chains) if not claim.holds]
    assert all(any(part in text for text in failed) for part in failing), failed
    assert len(failed) == len(failing), failed


def test_what_is_surely_wrong_does_not_hold_and_what_is_of_no_use_is_not_decided() -> None:
    wrong, useless = made_up("fig04_mnist"), made_up("fig04_mnist")
    set_to("fid", 10.0, t="last")(wrong)
    noisy("fid")(useless)
    rises = [claims(chains)[0] for chains in (made_up("fig04_mnist"), wrong, useless)]
    assert [claim.holds for claim in rises] == [True, False, None]


def test_one_seed_is_told_in_the_evidence() -> None:
    assert all("one seed: no interval" in claim.evidence for claim in claims(made_up("fig06_mnist", 1)))


def test_a_small_change_of_one_seed_does_not_count() -> None:
    chains = made_up("fig04_mnist_small", 1)
    first = chains.table.loc[chains.table["generation"] == 1, "precision"].item()
    set_to("precision", first - 0.02, t="last")(chains)  # 3 times the binomial's noise of 1000 samples
    failed = [claim.text for claim in claims(chains) if not claim.holds]
    assert [text.partition(" from ")[0] for text in failed] == ["precision falls"]


def test_a_sweep_without_lambda_1_is_refused() -> None:
    chains = made_up("fig06_mnist")
    chains.table["lambda"] = 0.5
    with pytest.raises(BadInput, match=r"fig06_mnist: expected λ = 1 and others below it, got 0\.5"):
        claims(chains)


def only(chains: Chains, *biases: float) -> Chains:
    """The same sweep with fewer λ."""
    return replace(chains, table=chains.table[chains.table["lambda"].isin(biases)])


def test_a_claim_names_the_lambdas_that_were_measured_and_speaks_for_no_others() -> None:
    def told(name: str, *biases: float) -> list[str]:
        return [claim.text for claim in claims(only(made_up(name), *biases))]

    assert told("fig09_mnist", 1.0) == [
        "synthetic augmentation: FID rises from generation 1 to 10, for λ = 1, the only one measured",
        "it rises less from generation 1 to 10 than in the fully synthetic loop, for λ = 1, the only one measured",
    ]
    assert [text.rpartition(", ")[2] for text in told("fig09_mnist", 1.0, 0.8)] == [
        "for each of λ = 1 and 0.8"
    ] * 2
    assert [text.partition(":")[0] for text in told("fig06_mnist", 1.0, 0.5)[:4]] == [
        "λ = 1",
        *["λ = 0.5"] * 3,
    ]
    assert told("fig06_mnist", 1.0, 0.5)[4] == "FID rises from generation 1 to 10, for each of λ = 1 and 0.5"
    for figure in FIGURES:
        assert not any(
            word in text for text in told(figure, 1.0, 0.5) for word in ("whatever", "every λ", "λ <")
        )


def test_fresh_loops_are_judged_and_drawn_for_each_lambda() -> None:
    chains = made_up("fig10_mnist")
    biased = chains.table.assign(**{"lambda": 0.5})
    biased.loc[rows(biased, n_ini=500, t=chains.last), "fid"] = 200.0
    both = replace(chains, table=pd.concat([chains.table, biased], ignore_index=True))
    assert [(claim.text.partition(": ")[0], claim.holds) for claim in claims(both)] == [
        ("λ = 1", True),
        ("λ = 1", True),
        ("λ = 0.5", True),
        ("λ = 0.5", False),
    ]
    assert [claim.holds for claim in script("fig10_mnist").questions(both)] == [True, False]
    told = script("fig10_mnist").lines(both)
    assert len({(line.look.colour, line.look.line) for line in told}) == len(told) == 8
    assert told[-1].label.endswith("60,000, λ = 0.5")


def test_questions_are_answered_either_way() -> None:
    chains = made_up("fig16_mnist")
    told = {claim.text: claim.holds for claim in script("fig16_mnist").questions(chains)}
    assert told["λ = 0.8: recall of generation 20 is below 0.05"]
    assert not told["λ = 0.8: precision of generation 20 is below 0.05"]
    assert script("fig04_mnist").questions(made_up("fig04_mnist"))[0].holds
    assert script("fig10_mnist").questions(made_up("fig10_mnist"))[0].holds


# From end to end

TINY = (
    "chain.reference={kind: images, path: digits, size: 28, colour: false}",
    "chain.generator={kind: ddpm, timesteps: 3, steps: 10, warmup: 1, width: 32, depth: 2, batch: 8, chunk: 40}",
    "chain.n_eval=40",
    "chain.generations=2",
    "seeds=2",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_images(folder / "digits", handwritten(160))
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


SMALLER: dict[str, tuple[str, ...]] = {
    "fig04_mnist": (),
    "fig06_mnist": ("grid.lambda=[1, 0.5]",),
    "fig09_mnist": ("grid.lambda=[1, 0.5]", "chain.n_r=20"),
    "fig10_mnist": ("grid.n_ini=[20, 40]", "chain.n_r=20"),
    "fig16_mnist": ("grid.lambda=[1, 0.5]",),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_a_small_sweep_of_images_goes_through_the_script_of_its_figure(
    figure: str, data: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{figure}_small"
    sizes = (*(() if figure == "fig10_mnist" else ("chain.n_ini=40",)), "chain.n_s=20")
    file = sweep_file(name, *TINY, *sizes, *SMALLER[figure])
    outcome = run(prepare(file, store=Store.open(store), data=data), executor=execute_here, display=Nothing())
    assert not outcome.failures
    of_figure = script(figure)
    arguments = ["--sweep", name, "--store", str(store), "--results", str(tmp_path)]
    assert run_on(of_figure.__file__, of_figure.find, arguments) in (0, 1)  # models that saw ten batches
    pictures = ["", "_grids", "_tsne"] if figure in ("fig04_mnist", "fig06_mnist") else [""]
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(files) == {f"{name}.csv", f"{name}.md", *(f"{name}{each}.png" for each in pictures)}
    page = files[f"{name}.md"].decode()
    assert all(f"({name}{each}.png)" in page for each in pictures)
    assert "over 2 seeds. One counts from 31.8 standard errors on" in page
    lines = files[f"{name}.csv"].decode().splitlines()
    assert len(lines) == 1 + 1 + 2 * len(file.cells)
    real = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert lines[1].startswith("real against real,")
    for number in ("fid", "precision", "recall", "variance", "label_accuracy"):
        assert float(real[number]) >= 0
    assert page.count("| real against real |") == 1
    verdicts = sum(page.count(f"| {verdict} |") for verdict in ("yes", "**no**", "not decided"))
    assert capsys.readouterr().out.count("\n") == 1 + verdicts


@pytest.mark.parametrize("figure", FIGURES)
def test_every_number_has_a_panel_with_its_floor(figure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label accuracy too, where the sweep measured it."""
    of_figure = script(figure)
    for left_out in (None, "label_accuracy"):
        chains = made_up(figure)
        if left_out:
            chains = replace(chains, table=chains.table.drop(columns=left_out))
        monkeypatch.setattr(Chains, "read", lambda sweep, chains=chains: chains)
        for maker in ("tsne_map", "sample_grids"):
            monkeypatch.setattr(of_figure, maker, lambda *_: Figure(), raising=False)
        if left_out:
            monkeypatch.setattr(of_figure, "questions", lambda chains: [], raising=False)
        found = of_figure.find(None)
        panels = {axes.get_title(): axes for axes in found.picture.axes}
        assert ("taken for their label" in panels) == (left_out is None)
        assert ("label_accuracy" in found.table) == (left_out is None)
        for axes in panels.values():
            assert [line for line in axes.lines if line.get_linestyle() == "--"]


def test_a_script_reads_the_sweep_of_its_own_name_without_more(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_figure = script("fig04_mnist")
    assert (
        run_on(of_figure.__file__, of_figure.find, ["--store", str(store), "--results", str(tmp_path)]) == 2
    )
    told = capsys.readouterr().err
    assert told.startswith("fig04_mnist: expected the name of a sweep in ")
    assert "got 'fig04_mnist'" in told
