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
    assert [claim.holds for claim in fig14.questions(made_up())] == [True, True]


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
        (variance_falls_with_recall, "recall ranks generations"),
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

    found = fig14.correlation(made_up(gone), "recall", "modal_variance").values
    kept = fig14.correlation(made_up(lambda table: None), "recall", "modal_variance").values
    assert (found > 0.5).all()
    assert found.shape == kept.shape == (6,)


def test_a_chain_too_short_to_lose_half_its_recall_is_told() -> None:
    def high(table: pd.DataFrame) -> None:
        table["recall"] = 0.9

    with pytest.raises(BadInput, match=r"fig14: expected recall to fall to half .* try more generations"):
        fig14.claims(made_up(high))
