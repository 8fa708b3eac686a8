"""`madray.run_chain`: a chain that it made, on this machine or another, is one that sweeps need not make."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import madray
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.running import Nothing
from madray.spec.reading import check_sweep
from madray.store import Store

DDPM = {"kind": "ddpm", "timesteps": 3, "steps": 5, "warmup": 1, "width": 8, "depth": 1, "chunk": 40}
CHAIN: dict[str, Any] = {
    "reference": "digits",
    "generator": DDPM,
    "loop": "fully_synthetic",
    "n_ini": 60,
    "n_s": 60,
    "n_eval": 100,
    "metrics": ["fid", "precision_recall", "variance"],
    "generations": 3,
}
GMM = {"generator": {"kind": "gmm", "components": 2, "covariance": "diag"}, "reference": "gmm25"}


@pytest.mark.parametrize("changed", [{}, GMM])
def test_chains_made_elsewhere_are_copied_and_a_sweep_of_them_has_nothing_to_do(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    chain = {**CHAIN, **changed}
    there = {
        (bias, seed): madray.run_chain(
            {**chain, "lambda": bias}, seed=seed, name=f"{bias}-{seed}", store=tmp_path / "there"
        ).table()
        for bias in (1.0, 0.5)
        for seed in (0, 1)
    }
    here = shutil.copytree(tmp_path / "there", tmp_path / "here")
    raw = {"name": "both", "chain": chain, "grid": {"lambda": [1.0, 0.5]}, "seeds": 2}
    prepared = prepare(check_sweep(raw, name="test"), store=Store.open(here), data=None)
    assert prepared.plan.complete
    run(prepared, executor=execute_here, display=Nothing())
    table = madray.open(here)["both"].table().set_index(["lambda", "seed"])
    for cell, expected in there.items():
        found = table.loc[cell].reset_index(drop=True)
        assert found.equals(expected.drop(columns="seed"))
    assert len(madray.open(here)["both"].generation({"lambda": 0.5}, 3, seed=1).measured()) == 100
