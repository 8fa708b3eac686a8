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
from madray.report.correlations import RankCorrelation, beyond
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
    shares = dict.fromkeys(
        ("precision", "recall", "precision_of_pixels", "recall_of_pixels"), 0.9 - 0.7 * gone
    )
    return {"fid": 90 + 200 * gone, **shares}


def straight(t: np.ndarray) -> Numbers:
    shares = dict.fromkeys(("precision", "recall", "precision_of_pixels", "recall_of_pixels"), 0.9 - 0.03 * t)
    return {"fid": 90 + 10 * t, **shares}


def ever_faster(t: np.ndarray) -> Numbers:
    return {name: values[0] + values[-1] - values[::-1] for name, values in as_in_the_paper(t).items()}


def precision_grows(t: np.ndarray) -> Numbers:
    return {**as_in_the_paper(t), "precision": 0.7 + 0.01 * t}


def made_up(
    numbers: Callable[[np.ndarray], Numbers], *, seeds: int = 3, spread: float = 0.002, world: int = 0
) -> Chains:
    """Numbers of 20 generations, with noise that seeds do not share."""
    t = np.arange(1, 21)
    parts = []
    for seed in range(seeds):
        random = Stream.of("made-up", world, seed).numpy()
        noisy = {
            name: values * (1 + spread * random.standard_normal(20)) for name, values in numbers(t).items()
        }
        parts.append(pd.DataFrame({"lambda": 1.0, "seed": seed, "generation": t, **noisy}))
    return Chains("fig13", pd.concat(parts), {"fid": 2.0, "precision": 0.95, "recall": 0.95}, 2000)


def test_numbers_as_in_the_paper_bear_out_all_claims_and_saturate() -> None:
    found = fig13.claims(made_up(as_in_the_paper)) + fig13.questions(made_up(as_in_the_paper))
    assert [claim for claim in found if not claim.holds] == []


def test_an_interval_is_fishers_over_seeds_of_one_level_and_within_what_is_possible() -> None:
    """Of three seeds, two of which fall in every generation: r = −0.818 and twice −1, guarded.

    −1 counts as −(1 − 6/7980), z = −3.943; z of −0.818 is −1.151. Their mean is −3.012, its standard error
    0.931, of which Student's t for 98 % with 2 degrees of freedom takes 6.965 to either side: to z = 3.47 and −9.50.
    """
    chains = made_up(as_in_the_paper, spread=0)
    fallen = np.arange(20, 0, -1) / 20
    chains.table.loc[chains.table["seed"] > 0, "recall"] = np.tile(fallen, 2)
    swapped = fallen.copy()
    swapped[[0, 11]] = swapped[[11, 0]]  # Σ d² = 2 · 11² of 20 ranks: 1 − 6 · 242 / 7980 = 0.818
    chains.table.loc[chains.table["seed"] == 0, "recall"] = swapped
    correlation = fig13.rank_correlation(chains, "recall")
    assert correlation.values == pytest.approx([-1 + 6 * 242 / 7980, -1, -1])
    claim = next(claim for claim in fig13.claims(chains) if claim.text.startswith("recall "))
    assert claim.evidence == "-0.995 (-0.99999999 to 0.998)"
    assert claim.holds is None


def test_no_interval_reaches_1_and_the_verdict_is_that_of_the_interval() -> None:
    """Correlations as near 1 as those of the real sweep; Student's t of them reaches past 1."""
    for last, holds in ((0.985, True), (0.5, None), (-0.99, None)):
        rising = RankCorrelation(np.array([0.99, 0.98, last]), np.full(3, 20.0))
        claim = beyond("it rises", rising, 0.8)
        low, high = (float(end) for end in claim.evidence.partition("(")[2].rstrip(")").split(" to "))
        assert -1 < low < high < 1
        assert claim.holds is holds
        assert (low > 0.8) == (holds is True)
    falling = RankCorrelation(np.array([-0.99, -0.98, -0.985]), np.full(3, 20.0))
    assert beyond("it rises", falling, 0.8).holds is False
    assert beyond("it falls", falling, -0.8).holds is True


@pytest.mark.parametrize("name", fig13.NUMBERS)
def test_a_number_that_goes_the_other_way_or_nowhere_is_caught(name: str) -> None:
    def other_way(t: np.ndarray) -> Numbers:
        return {**as_in_the_paper(t), name: as_in_the_paper(t)[name][::-1]}

    def nowhere(t: np.ndarray) -> Numbers:
        return {**as_in_the_paper(t), name: np.full(len(t), 0.5)}

    for wrong in (made_up(other_way), made_up(nowhere)):
        failed = [claim.text for claim in fig13.claims(wrong) if not claim.holds]
        assert [text.partition(" ")[0] for text in failed] == [name]


def test_a_straight_line_neither_saturates_nor_the_contrary() -> None:
    """Of 300 questions chance decides 2 %: 6 ± 2.4; more than 18 would be one in 40,000."""
    answers = [
        claim.holds
        for world in range(60)
        for claim in fig13.questions(made_up(straight, spread=1e-4, world=world))
    ]
    assert len(answers) == 300
    assert sum(answer is not None for answer in answers) <= 18
    assert all(claim.holds for claim in fig13.claims(made_up(straight, spread=1e-4)))


@pytest.mark.parametrize(("numbers", "holds"), [(as_in_the_paper, True), (ever_faster, False)])
def test_what_slows_down_saturates_and_what_goes_ever_faster_does_not(
    numbers: Callable[[np.ndarray], Numbers], holds: bool
) -> None:
    asked = fig13.questions(made_up(numbers))
    assert [question.text.partition(" ")[0] for question in asked] == list(fig13.NUMBERS)
    assert [question.holds for question in asked] == [holds] * 5


def test_a_precision_that_rises_is_a_claim_that_fails_and_is_told_under_the_title() -> None:
    failed = [claim for claim in fig13.claims(made_up(precision_grows)) if not claim.holds]
    assert [(claim.holds, claim.text.partition(":")[0]) for claim in failed] == [(False, "precision falls")]
    told = fig13.of_precision(made_up(precision_grows, spread=0))
    assert told == (
        "The fall of precision that the paper shows is not reproduced with LeNet's features, by which precision "
        "rises from 0.71 to 0.9; by pixels it falls from 0.9 to 0.21."
    )
    borne_out = fig13.of_precision(made_up(as_in_the_paper))
    assert "is reproduced with LeNet's features, by which precision falls from" in borne_out


def test_one_seed_has_no_interval() -> None:
    claims = fig13.claims(made_up(as_in_the_paper, seeds=1, spread=0))
    evidence = claims[0].evidence
    assert {claim.holds for claim in claims} == {None}
    assert evidence == "0.999 of one seed, which has no interval"


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
    # Models that saw three batches, over three generations, bear out no claim on every number.
    assert run_on(fig13.__file__, fig13.find, arguments) == 1
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {f"fig13_small{end}" for end in (".csv", "_seeds.csv", ".md", ".png", "_grids.png")}
    assert len((tmp_path / "fig13_small.csv").read_text().splitlines()) == 1 + 3
    header, *rows = (tmp_path / "fig13_small_seeds.csv").read_text().splitlines()
    assert header == "seed,generation," + ",".join(fig13.NUMBERS)
    assert len(rows) == 2 * 3


def test_precision_and_recall_of_pixels_are_those_of_the_samples_that_were_measured(store: Path) -> None:
    sweep = madray.open(store)["fig13_small"]
    chains = fig13.with_pixels(Chains.read(sweep), sweep)
    real, other = np.split(sweep.real(n=80).values.reshape(80, -1) / 255, 2)
    assert (real == sweep.real().values.reshape(40, -1) / 255).all()
    rows = chains.table[["seed", "generation", "precision_of_pixels", "recall_of_pixels"]]
    for seed, t, precision, recall in rows.itertuples(index=False):
        made = sweep.generation({}, t, seed=seed).measured().values.reshape(40, -1) / 255
        expected = compute_prdc(real, made, 5)
        assert (precision, recall) == (expected["precision"], expected["recall"])
    floors = compute_prdc(real, other, 5)
    for name in ("precision", "recall"):
        assert chains.floors[f"{name}_of_pixels"] == floors[name]
