"""Figure 17's script on a small real sweep: every model is sampled, and the tails are counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import norm

import madray
from analysis import fig17
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.report.script import Findings
from madray.report.writing import to_png
from madray.running import Nothing
from madray.spec.reading import read_sweep
from madray.store import Store

SMALL = (
    "chain.n_ini=300",
    "chain.n_s=300",
    "chain.n_eval=50",
    "chain.metrics=[variance]",
    "chain.generations=3",
    "chain.generator.epochs=4",
    "chain.generator.layers=2",
    "seeds=3",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("store")
    file = read_sweep(Path(__file__).parents[2] / "sweeps" / "fig17.yaml", SMALL)
    outcome = run(
        prepare(file, store=Store.open(folder), data=None), executor=execute_here, display=Nothing()
    )
    assert not outcome.failures
    return fig17.find(madray.open(folder)["fig17"])


def test_the_script_makes_a_picture_and_a_row_for_each_generation_and_bias(found: Findings) -> None:
    assert to_png(found.picture).startswith(b"\x89PNG")
    assert len(found.table) == 2 * 3


def test_the_first_models_have_about_the_mass_of_the_reference_in_the_tails(found: Findings) -> None:
    first = found.table[(found.table["generation"] == 1) & (found.table["lambda"] == 1)]
    assert first["mass_beyond_2"].iloc[0] == pytest.approx(2 * norm.sf(2), abs=0.03)


def test_less_bias_has_more_mass_in_the_tails(found: Findings) -> None:
    text = {claim.text: claim.holds for claim in found.claims}
    assert any(holds for claim, holds in text.items() if claim.startswith("the smaller λ"))
