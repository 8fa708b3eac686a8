"""Figure 13: its sweep files, its claims on made-up numbers, and its script on a small real sweep of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handwritten import handwritten, write_images
from prdc import compute_prdc

import madray
from analysis import fig13
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.report.chains import Chains
from madray.report.script import run_on
from madray.running import Nothing
from madray.spec.generators import WGANGP
from madray.spec.reading import SweepFile, read_sweep
from madray.store import Store
from madray.streams import Stream

SWEEPS = Path(__file__).parents[2] / "sweeps"
Numbers = dict[str, np.ndarray]


def sweep_file(name: str, *overrides: str) -> SweepFile:
    file = read_sweep(SWEEPS / f"{name}.yaml", overrides)
    assert isinstance(file, SweepFile)
    return file


@pytest.mark.parametrize("name", ["fig13", "fig13_small"])
def test_a_sweep_file_is_of_gans_that_see_no_real_image_after_the_first_generation(name: str) -> None:
    file = sweep_file(name)
    (cell,) = file.cells
    assert file.sweep.name == name
    assert len(file.sweep.seed_list) >= 3
    assert isinstance(cell.chain.generator, WGANGP)
    assert (cell.chain.loop.written(), cell.chain.bias) == ("fully_synthetic", 1.0)
    assert cell.chain.extractor.kind == "lenet"
    assert 2 * cell.chain.n_eval <= 60_000  # there is a floor


def test_the_whole_sweep_is_the_papers_and_the_small_one_what_two_cores_bear() -> None:
    whole, small = (sweep_file(name).cells[0].chain for name in ("fig13", "fig13_small"))
    assert (whole.generations, whole.n_ini, whole.generator) == (100, 60_000, WGANGP())
    assert (small.generations, small.n_ini, small.generator.width) == (20, 2000, 16)
    assert (small.generator.critic_steps, small.generator.penalty) == (5, 10)
    assert sweep_file("fig13_small").sweep.resources.gpus == 0


def as_in_the_paper(t: np.ndarray) -> Numbers:
    gone = 1 - 0.8 ** (t - 1)
    precision = dict.fromkeys(("precision", "precision_of_pixels"), 0.9 - 0.5 * gone)
    return {"fid": 90 + 200 * gone, **precision, "recall": 0.8 - 0.7 * gone}


def made_up(numbers: Callable[[np.ndarray], Numbers], *, seeds: int = 3, spread: float = 0.002) -> Chains:
    """Numbers of 20 generations, with noise that seeds do not share."""
    t = np.arange(1, 21)
    parts = []
    for seed in range(seeds):
        random = Stream.of("made-up", seed).numpy()
        noisy = {
            name: values * (1 + spread * random.standard_normal(20)) for name, values in numbers(t).items()
        }
        parts.append(pd.DataFrame({"lambda": 1.0, "seed": seed, "generation": t, **noisy}))
    return Chains("fig13", pd.concat(parts), {"fid": 2.0, "precision": 0.95, "recall": 0.95}, 2000)


def test_numbers_as_in_the_paper_bear_out_all_claims_and_saturate() -> None:
    found = fig13.claims(made_up(as_in_the_paper)) + fig13.questions(made_up(as_in_the_paper))
    assert [claim for claim in found if not claim.holds] == []
    assert "1.000 over 3 seeds, 95 % interval 1.000 to 1.000" in found[0].evidence


def test_the_interval_is_students_over_seeds() -> None:
    """Of −0.818, −1 and −1: a standard error of 0.0606, and 4.303 of it to either side."""
    chains = made_up(as_in_the_paper, spread=0)
    fallen = np.arange(20, 0, -1) / 20
    chains.table.loc[chains.table["seed"] > 0, "recall"] = np.tile(fallen, 2)
    swapped = fallen.copy()
    swapped[[0, 11]] = swapped[[11, 0]]  # Σ d² = 2 · 11² of 20 ranks: 1 − 6 · 242 / 7980 = 0.818
    chains.table.loc[chains.table["seed"] == 0, "recall"] = swapped
    correlation = fig13.rank_correlation(chains, "recall")
    assert correlation.values == pytest.approx([-1 + 6 * 242 / 7980, -1, -1])
    evidence = next(claim.evidence for claim in fig13.claims(chains) if claim.text.startswith("recall"))
    assert "-0.939 over 3 seeds, 95 % interval -1.000 to -0.678" in evidence


@pytest.mark.parametrize("name", ["fid", "precision_of_pixels", "recall"])
def test_a_number_that_goes_the_other_way_or_nowhere_is_caught(name: str) -> None:
    def other_way(t: np.ndarray) -> Numbers:
        return {**as_in_the_paper(t), name: as_in_the_paper(t)[name][::-1]}

    def nowhere(t: np.ndarray) -> Numbers:
        return {**as_in_the_paper(t), name: np.full(len(t), 0.5)}

    for wrong in (made_up(other_way), made_up(nowhere)):
        failed = [claim.text for claim in fig13.claims(wrong) if not claim.holds]
        assert [text.partition(" ")[0] for text in failed] == [name]


def test_a_number_that_goes_on_as_it_began_does_not_saturate() -> None:
    def straight(t: np.ndarray) -> Numbers:
        precision = dict.fromkeys(("precision", "precision_of_pixels"), 0.9 - 0.01 * t)
        return {"fid": 90 + 10 * t, **precision, "recall": 0.8 - 0.03 * t}

    falls, *saturate = fig13.questions(made_up(straight, spread=1e-4))
    assert falls.holds
    assert not any(claim.holds for claim in saturate)
    assert all(claim.holds for claim in fig13.claims(made_up(straight)))


def test_whether_lenets_precision_falls_too_is_a_question_with_two_answers() -> None:
    def grows(t: np.ndarray) -> Numbers:
        return {**as_in_the_paper(t), "precision": 0.7 + 0.01 * t}

    assert fig13.questions(made_up(as_in_the_paper))[0].holds
    assert not fig13.questions(made_up(grows))[0].holds
    assert all(claim.holds for claim in fig13.claims(made_up(grows)))


def test_one_seed_has_no_interval() -> None:
    evidence = fig13.claims(made_up(as_in_the_paper, seeds=1))[0].evidence
    assert " of one seed; " in evidence
    assert "95 % interval" not in evidence


TINY = (
    "chain.reference={kind: images, path: digits, size: 28, colour: false}",
    "chain.generator={kind: wgan_gp, width: 4, latent: 8, steps: 3, batch: 8, chunk: 40}",
    "chain.n_ini=40",
    "chain.n_s=30",
    "chain.n_eval=40",
    "chain.generations=3",
    "seeds=2",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a small sweep of handwritten digits in it."""
    folder = tmp_path_factory.mktemp("fig13")
    write_images(folder / "data" / "digits", handwritten(160))
    file = sweep_file("fig13_small", *TINY)
    ready = prepare(file, store=Store.open(folder / "store"), data=folder / "data")
    assert not run(ready, executor=execute_here, display=Nothing()).failures
    return folder / "store"


def test_a_small_sweep_of_images_goes_through_the_script(store: Path, tmp_path: Path) -> None:
    arguments = ["--sweep", "fig13_small", "--store", str(store), "--results", str(tmp_path)]
    assert run_on(fig13.__file__, fig13.find, arguments) in (0, 1)  # models that saw three batches
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {f"fig13_small{end}" for end in (".csv", ".md", ".png", "_grids.png")}
    assert len((tmp_path / "fig13_small.csv").read_text().splitlines()) == 1 + 3


def test_the_precision_of_pixels_is_that_of_the_samples_that_were_measured(store: Path) -> None:
    sweep = madray.open(store)["fig13_small"]
    chains = fig13.with_pixels(Chains.read(sweep), sweep)
    real, other = np.split(sweep.real(n=80).values.reshape(80, -1) / 255, 2)
    assert (real == sweep.real().values.reshape(40, -1) / 255).all()
    for seed, t, told in chains.table[["seed", "generation", "precision_of_pixels"]].itertuples(index=False):
        made = sweep.generation({}, t, seed=seed).measured().values.reshape(40, -1) / 255
        assert told == compute_prdc(real, made, 5)["precision"]
    assert chains.floors["precision_of_pixels"] == compute_prdc(real, other, 5)["precision"]
