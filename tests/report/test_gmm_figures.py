"""Figures 14 and 15: the script on a small real sweep, and its claims on right numbers and on wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import madray
from analysis import fig14
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.errors import BadInput
from madray.metrics import precision_recall
from madray.report.chains import Chains
from madray.report.writing import to_png
from madray.running import Nothing
from madray.spec.reading import read_sweep
from madray.store import Store
from madray.streams import Stream

SMALL = (
    "chain.n_ini=150",
    "chain.n_s=150",
    "chain.n_eval=150",
    "chain.generations=30",
    "keep=every 10",
    "seeds=3",
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> madray.SweepResults:
    folder = tmp_path_factory.mktemp("store")
    file = read_sweep(Path(__file__).parents[2] / "sweeps" / "fig14.yaml", SMALL)
    outcome = run(
        prepare(file, store=Store.open(folder), data=None), executor=execute_here, display=Nothing()
    )
    assert not outcome.failures
    return madray.open(folder)["fig14"]


def test_the_script_makes_a_picture_a_table_and_claims_of_a_small_sweep(
    sweep: madray.SweepResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fig14, "SHOWN", (1, 10, 30))
    found = fig14.find(sweep)
    assert to_png(found.picture).startswith(b"\x89PNG")
    assert found.table["generation"].tolist() == [1, 2, 5, 10, 20, 30]
    assert found.table["modes"].iloc[0] > 23
    assert found.table["modes"].iloc[-1] < found.table["modes"].iloc[0] - 5
    assert len(found.claims) == 3
    assert found.per_seed is not None
    assert found.per_seed["seed"].tolist() == [0, 1, 2]
    assert "one logarithmic scale" in found.note


def test_generation_1_is_drawn_though_it_was_not_kept(sweep: madray.SweepResults) -> None:
    """25 modes of 6 samples each, more or less: each has a component near it."""
    apart = np.linalg.norm(fig14._model(sweep, 1).means[:, None] - fig14._reference(sweep).means, axis=2)
    assert (apart.min(axis=0) < 0.2).sum() > 20


# Numbers made up


def made_up(spoil: Callable[[pd.DataFrame], None] | None = None) -> Chains:
    """Modes, recall and modal variance fall together, the variance does as it likes."""
    t = np.arange(1, 401)
    rows = []
    for seed in range(6):
        noise = Stream.of("made up", seed).numpy().normal(size=(3, len(t)))
        rows.append(
            pd.DataFrame(
                {
                    "lambda": 1.0,
                    "seed": seed,
                    "generation": t,
                    "modes": np.ceil(25 * np.exp(-t / 100)),
                    "variance": 16 + noise[0].cumsum() / 20,
                    "modal_variance": 0.005 * np.exp(-t / 60 + noise[1] / 10),
                    "recall": np.exp(-t / 80 + noise[2] / 10),
                }
            )
        )
    table = pd.concat(rows, ignore_index=True)
    if spoil is not None:
        spoil(table)
    return Chains("fig14", table, {"recall": 0.97}, n_eval=1000)


def test_right_numbers_bear_out_all_claims() -> None:
    assert [claim for claim in fig14.claims(made_up()) if not claim.holds] == []
    assert [claim.holds for claim in fig14.questions(made_up())][:2] == [True, True]


def no_more_modes_lost(table: pd.DataFrame) -> None:
    table["modes"] = table["modes"].where(table["generation"] < 200, 9)


def variance_falls_with_recall(table: pd.DataFrame) -> None:
    table["variance"] = 16 * table["recall"] ** 0.01


def modal_variance_stays(table: pd.DataFrame) -> None:
    table["modal_variance"] = 0.005 + 1e-5 * table["recall"]


@pytest.mark.parametrize(
    ("spoil", "failing"),
    [
        (no_more_modes_lost, "modes are lost"),
        (variance_falls_with_recall, "average modal variance ranks generations as recall does"),
        (modal_variance_stays, "when recall has fallen to half"),
    ],
)
def test_wrong_numbers_are_caught(spoil: Callable[[pd.DataFrame], None], failing: str) -> None:
    failed = [claim.text for claim in fig14.claims(made_up(spoil)) if not claim.holds]
    assert len(failed) == 1
    assert failed[0].startswith(failing)


def test_recall_counts_until_it_is_0_and_no_longer() -> None:
    def gone(table: pd.DataFrame) -> None:
        late = table["generation"] > 50
        table.loc[late, "recall"] = 0.0
        table.loc[late, "modal_variance"] = 1.0

    found = fig14.correlation(made_up(gone), "recall", "modal_variance")
    kept = fig14.correlation(made_up(lambda table: None), "recall", "modal_variance")
    assert (found.values > 0.5).all()
    assert found.ranked.tolist() == [51] * 6
    assert kept.ranked.tolist() == [400] * 6
    assert "of 400 generations the first 51 (51 to 51), " in fig14.window(made_up(gone))
    assert "Then 16 (16 to 16) modes are left" in fig14.window(made_up(gone))


def recall_sees_modes_best(table: pd.DataFrame) -> None:
    table["recall"] = table["modes"] / 25


def modal_variance_sees_modes_best(table: pd.DataFrame) -> None:
    table["modal_variance"] = table["modes"] / 5000


def both_see_modes_alike(table: pd.DataFrame) -> None:
    """Each by turns, seed by seed, with the same noise."""
    odd = table["seed"] % 2 == 1
    one, other = table["recall"], table["modal_variance"]
    table["recall"], table["modal_variance"] = one.where(odd, other), other.where(odd, one)


@pytest.mark.parametrize(
    ("spoil", "holds"),
    [(recall_sees_modes_best, True), (modal_variance_sees_modes_best, False), (both_see_modes_alike, None)],
)
def test_whether_recall_sees_modes_better_than_modal_variance_has_three_answers(
    spoil: Callable[[pd.DataFrame], None], holds: bool | None
) -> None:
    asked = fig14.questions(made_up(spoil))[2]
    assert asked.text.startswith(
        "recall ranks generations as the number of modes does, more nearly than average"
    )
    assert asked.holds is holds


def test_evidence_has_both_correlations_and_what_lies_between_them() -> None:
    chains = made_up()
    near, far = (fig14.correlation(chains, "modes", name) for name in ("recall", "variance"))
    evidence = fig14.questions(chains)[1].evidence
    assert evidence.startswith(f"rank correlations are {near.told()} of recall, {far.told()} of variance; ")
    assert f"of their difference it is {(near.values - far.values).mean():.3g} (" in evidence


def test_the_table_tells_how_high_recall_was_between_its_rows() -> None:
    def back(table: pd.DataFrame) -> None:
        """All 0 from 150 on, but for a time between two rows of the table."""
        table.loc[table["generation"] >= 150, "recall"] = 0.0
        table.loc[table["generation"].between(301, 305), "recall"] = 0.7

    chains = made_up(back)
    rows = fig14.table(chains).set_index("generation")
    assert rows.index.tolist() == [1, 2, 5, 10, 20, 50, 100, 200, 400]
    assert (rows.loc[400, "recall"], rows.loc[400, "recall_highest"]) == (0.0, pytest.approx(0.7))
    means = chains.table.groupby("generation")["recall"].mean()
    assert rows.loc[200, "recall_highest"] == pytest.approx(means.loc[101:200].max())
    assert rows.loc[1, "recall_highest"] == rows.loc[1, "recall"]


def test_numbers_of_each_seed_are_those_that_claims_were_judged_by() -> None:
    chains = made_up()
    found = fig14.per_seed(chains)
    assert len(found) == 6
    for one, other in fig14.RANKED:
        expected = fig14.correlation(chains, one, other).values
        assert found[f"{one}_with_{other}"].tolist() == expected.tolist()
    lost = found["modes_1"] - found["modes_200"]
    assert lost.tolist() == (chains.number("modes", {}, 1) - chains.number("modes", {}, 200)).values.tolist()
    assert {f"{name}_400" for name in fig14.PANELS} < set(found)


def test_recall_comes_back_where_a_mode_has_no_more_samples_than_neighbours_are_counted() -> None:
    """As the page says: balls of 5 samples reach to the next mode, those of 6 equal ones hold nothing."""
    reference = np.array([[x, y] for x in range(5) for y in range(5)], dtype=float).repeat(40, axis=0)
    real = reference + 0.05 * Stream.of("made up", 0).numpy().normal(size=reference.shape)

    def recall(left: int) -> float:
        generated = np.array([[0.0, 0.0]] * (1000 - left) + [[2.0, 2.0]] * left)
        return precision_recall(real=real, generated=generated).recall

    assert recall(5) > 0.8
    assert recall(6) == recall(0) == 0


def test_a_chain_too_short_to_lose_half_its_recall_is_told() -> None:
    def high(table: pd.DataFrame) -> None:
        table["recall"] = 0.9

    with pytest.raises(BadInput, match=r"fig14: expected recall to fall to half .* try more generations"):
        fig14.claims(made_up(high))
