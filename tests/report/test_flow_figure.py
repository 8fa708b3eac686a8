"""Figure 17: its script on small real sweeps, and its claims on right numbers, wrong ones and unsure ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import madray
from analysis import fig17
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.errors import BadInput
from madray.report.chains import Chains
from madray.report.per_seed import how_sure
from madray.report.script import Findings
from madray.report.writing import to_png
from madray.running import Nothing
from madray.spec.reading import read_sweep
from madray.store import Store
from madray.streams import Stream

SMALL = (
    "chain.n_ini=300",
    "chain.n_s=300",
    "chain.n_eval=50",
    "chain.metrics=[variance,held_out_log_likelihood]",
    "chain.generations=3",
    "chain.generator.epochs=4",
    "chain.generator.layers=2",
    "seeds=3",
)


def swept(folder: Path, *overrides: str) -> madray.SweepResults:
    file = read_sweep(Path(__file__).parents[2] / "sweeps" / "fig17.yaml", [*SMALL, *overrides])
    outcome = run(
        prepare(file, store=Store.open(folder), data=None), executor=execute_here, display=Nothing()
    )
    assert not outcome.failures
    return madray.open(folder)["fig17"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> madray.SweepResults:
    return swept(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def found(sweep: madray.SweepResults) -> Findings:
    return fig17.find(sweep)


def test_the_script_makes_a_picture_and_a_row_for_each_generation_and_bias(found: Findings) -> None:
    assert to_png(found.picture).startswith(b"\x89PNG")
    assert found.table["lambda"].tolist() == [1.0] * 3 + [0.9] * 3
    assert found.table["generation"].tolist() == [1, 2, 3] * 2
    assert found.how_sure.startswith(how_sure(3))
    assert (len(found.claims), len(found.questions)) == (2, 4)


def test_the_numbers_of_each_seed_are_those_that_the_table_is_made_of(found: Findings) -> None:
    assert found.per_seed is not None
    assert len(found.per_seed) == 2 * 3 * 3
    last = found.per_seed.query("`lambda` == 0.9 and generation == 3")
    for name in ("mass_beyond_2", "mass_beyond_3", "held_out_log_likelihood"):
        told = found.table.iloc[-1]
        assert told[name] == pytest.approx(last[name].mean())
        assert told[f"{name}_standard_error"] == pytest.approx(last[name].std() / 3**0.5)


def test_the_held_out_likelihood_is_the_models_own(found: Findings, sweep: madray.SweepResults) -> None:
    assert found.per_seed is not None
    row = found.per_seed.query("`lambda` == 0.9 and generation == 2 and seed == 1").iloc[0]
    model = sweep.generation({"lambda": 0.9}, 2, seed=1).model()
    assert row["held_out_log_likelihood"] == model.held_out_log_likelihood  # type: ignore[attr-defined]
    assert "held_out_log_likelihood" in found.note


def test_the_first_models_have_about_the_mass_of_the_reference_in_the_tails(found: Findings) -> None:
    first = found.table[(found.table["generation"] == 1) & (found.table["lambda"] == 1)]
    assert first["mass_beyond_2"].iloc[0] == pytest.approx(2 * norm.sf(2), abs=0.03)


def test_less_bias_has_more_mass_in_the_tails(found: Findings) -> None:
    text = {claim.text: claim.holds for claim in found.claims}
    assert any(holds for claim, holds in text.items() if claim.startswith("the smaller λ"))


@pytest.mark.parametrize("bias", [1.0, 0.9])
def test_the_density_that_is_drawn_is_that_of_the_samples_that_are_counted(
    bias: float, found: Findings, sweep: madray.SweepResults
) -> None:
    assert found.per_seed is not None
    density = fig17._density(sweep, bias, 3)
    one = found.per_seed.query(f"`lambda` == {bias} and generation == 3 and seed == 0")["mass_beyond_2"]
    beyond = density[np.abs(fig17.X1) > 2].sum() / density.sum()
    # Of 20,000 samples shares have a standard deviation of 0.0015; the grid ends, and is of small steps.
    assert beyond == pytest.approx(one.iloc[0], abs=0.008)


def test_the_density_of_the_reference_is_one() -> None:
    step = (fig17.X1[1] - fig17.X1[0]) * (fig17.X2[1] - fig17.X2[0])
    assert fig17._reference_density().sum() * step == pytest.approx(1, abs=0.005)


def test_a_sweep_of_one_bias_one_seed_and_no_held_out_likelihood_is_drawn(tmp_path: Path) -> None:
    small = ("grid.lambda=[0.9]", "chain.metrics=[variance]", "chain.generations=2", "seeds=1")
    found = fig17.find(swept(tmp_path, *small))
    assert to_png(found.picture).startswith(b"\x89PNG")
    assert (len(found.claims), list(found.questions)) == (1, [])
    assert "held_out_log_likelihood" not in [*found.table, *found.note.split()]


def test_other_generators_are_refused_before_they_are_sampled(tmp_path: Path) -> None:
    small = [setting for setting in SMALL if "chain.generator" not in setting]
    file = read_sweep(
        Path(__file__).parents[2] / "sweeps" / "fig17.yaml", [*small, "chain.generator=gaussian"]
    )
    run(prepare(file, store=Store.open(tmp_path), data=None), executor=execute_here, display=Nothing())
    with pytest.raises(BadInput, match=r"expected generator flow .* got gaussian and rosenbrock; try sweeps"):
        fig17.find(madray.open(tmp_path)["fig17"])


@pytest.mark.parametrize("biases", [[1.0], [1.0, 0.0]])
def test_biases_of_which_nothing_can_be_said_are_refused(
    sweep: madray.SweepResults, biases: list[float]
) -> None:
    with pytest.raises(
        BadInput, match=r"fig17: expected a λ below 1, and none that is 0, got 1.*; try --set"
    ):
        fig17._check(sweep, made_up(biases=biases))


# Numbers made up

Spoil = Callable[[pd.DataFrame], None]
REFERENCE = 2 * norm.sf(2.0), 2 * norm.sf(3.0)


def made_up(spoil: Spoil | None = None, *, biases: Sequence[float] = (1.0, 0.9), seeds: int = 8) -> Chains:
    """Without bias a little goes from beyond 2, and some comes beyond 3; with bias all goes."""
    t = np.arange(1, 17)
    rows = []
    for bias in biases:
        near, far = REFERENCE[0] - 0.001 * t, REFERENCE[1] + 0.0005 * (t - 1)
        for seed in range(seeds):
            left = 0.7 ** (t * (1 - bias) * 10)
            cell = {"lambda": bias, "seed": seed, "generation": t}
            rows.append(pd.DataFrame({**cell, "mass_beyond_2": near * left, "mass_beyond_3": far * left}))
    table = pd.concat(rows, ignore_index=True)
    if spoil is not None:
        spoil(table)
    for name in ("mass_beyond_2", "mass_beyond_3"):
        counts = Stream.of("counts", name).numpy().binomial(fig17.SAMPLES, table[name])
        table[name] = counts / fig17.SAMPLES
    return Chains("fig17", table, {}, n_eval=2000)


def set_last(bias: float, name: str, value: float) -> Spoil:
    def spoil(table: pd.DataFrame) -> None:
        table.loc[(table["lambda"] == bias) & (table["generation"] == 16), name] = value

    return spoil


def more_than_the_reference(table: pd.DataFrame) -> None:
    set_last(0.9, "mass_beyond_2", 0.06)(table)
    set_last(1.0, "mass_beyond_2", 0.09)(table)


def stays(bias: float) -> Spoil:
    """Nothing happens: all differ from the reference by counting alone."""

    def spoil(table: pd.DataFrame) -> None:
        table.loc[table["lambda"] == bias, ["mass_beyond_2", "mass_beyond_3"]] = REFERENCE

    return spoil


def test_right_numbers_bear_out_all_claims_and_questions() -> None:
    chains = made_up()
    assert [claim for claim in fig17.claims(chains) + fig17.questions(chains) if not claim.holds] == []


def test_claims_are_about_each_bias_and_each_two_of_them() -> None:
    told = [claim.text.split(":")[0] for claim in fig17.claims(made_up(biases=(1.0, 0.9, 0.8)))]
    assert told == ["λ = 0.8", "λ = 0.9"] + ["the smaller λ, the less is left of that mass"] * 2


@pytest.mark.parametrize(
    ("spoil", "failing"),
    [
        (set_last(0.9, "mass_beyond_2", 0.0), []),
        (set_last(0.9, "mass_beyond_2", 0.04), ["the smaller λ"]),
        (more_than_the_reference, ["λ = 0.9"]),
    ],
    ids=["none left", "more than without", "more than the reference"],
)
def test_wrong_numbers_are_caught(spoil: Spoil, failing: list[str]) -> None:
    claims = fig17.claims(made_up(spoil))
    assert [claim.holds for claim in claims].count(None) == 0
    failed = [claim.text for claim in claims if not claim.holds]
    assert [text[: len(start)] for text, start in zip(failed, failing, strict=True)] == failing


@pytest.mark.parametrize(
    ("spoil", "answers"),
    [
        (set_last(1.0, "mass_beyond_2", 0.06), [False, True, True, True]),
        (set_last(1.0, "mass_beyond_3", 0.001), [True, True, False, False]),
        (stays(1.0), [None, None, None, None]),
    ],
    ids=["more", "less far out", "stays"],
)
def test_questions_are_answered_as_numbers_are(spoil: Spoil, answers: list[bool | None]) -> None:
    assert [claim.holds for claim in fig17.questions(made_up(spoil))] == answers


def test_squared_errors_that_shrink_are_no_drift() -> None:
    def shrink(table: pd.DataFrame) -> None:
        stays(1.0)(table)
        table.loc[(table["lambda"] == 1) & (table["generation"] == 1), "mass_beyond_2"] = 0.03

    assert fig17.questions(made_up(shrink))[1].holds is False


def test_numbers_that_say_nothing_decide_nothing() -> None:
    def none(table: pd.DataFrame) -> None:
        for bias in (1.0, 0.9):
            stays(bias)(table)

    assert [claim.holds for claim in fig17.claims(made_up(none))] == [None, None]


def test_a_tail_without_samples_is_as_many_standard_errors_away_as_counting_tells() -> None:
    chains = made_up(set_last(0.9, "mass_beyond_2", 0.0))
    lost = fig17.claims(chains)[0]
    # Of no sample in 8 seeds: 0.0455 / √(0.0455 · 0.9545 / 20,000 / 8) = 87, and not infinitely many.
    assert lost.evidence == "it is 0.0455 (0.0439 to 0.0471), 87.2 standard errors above 0"


def test_what_is_compared_is_of_one_seed() -> None:
    """Seeds differ by much more than λ does: only pairs tell."""

    def seeds_differ(table: pd.DataFrame) -> None:
        table["mass_beyond_2"] = 0.1 + 0.1 * table["seed"] - 0.03 * (table["lambda"] < 1)

    assert fig17.claims(made_up(seeds_differ))[1].holds


def test_nothing_is_asked_of_a_sweep_without_an_unbiased_chain() -> None:
    chains = made_up(biases=(0.9,))
    assert fig17.questions(chains) == []
    assert [claim.text.split(":")[0] for claim in fig17.claims(chains)] == ["λ = 0.9"]
