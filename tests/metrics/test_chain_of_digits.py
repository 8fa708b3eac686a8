"""A chain of conditional images, measured by LeNet from its first generation to its last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from handwritten import handwritten, write_images

from madray.chain import read_numbers
from madray.results import SweepResults
from madray.running import run_chain
from madray.store import Store

CHAIN: dict[str, Any] = {
    "generator": {
        "kind": "ddpm",
        "timesteps": 3,
        "steps": 10,
        "warmup": 1,
        "width": 32,
        "depth": 2,
        "batch": 8,
    },
    "loop": "fully_synthetic",
    "n_ini": 30,
    "n_s": 20,
    "n_eval": 40,
    "generations": 2,
    "metrics": [
        "fid",
        "precision_recall",
        "label_accuracy",
        {"kind": "classification_accuracy_score", "epochs": 60},
    ],
    "extractor": "lenet",
}
ACCURACIES = ["label_accuracy", "classification_accuracy_score"]


def floors_of(results: SweepResults, store: Store) -> dict[str, float]:
    return {name: read_numbers(store, key)[name] for name, key in results.record.floors.items()}


def test_a_chain_of_28_by_28_images_is_measured_by_lenet(tmp_path: Path) -> None:
    write_images(tmp_path / "data" / "digits", handwritten(120))
    reference = {"kind": "images", "path": "digits", "size": 28, "colour": False}
    results = run_chain(CHAIN | {"reference": reference}, store=tmp_path / "store", data=tmp_path / "data")
    table = results.table()
    assert list(table.columns[2:]) == ["fid", "precision", "recall", *ACCURACIES]
    assert np.isfinite(table.iloc[:, 2:]).all().all()
    floors = floors_of(results, Store.open(tmp_path / "store"))
    assert floors["fid"] < table["fid"].min()  # the model has seen ten batches
    assert 0.7 < floors["label_accuracy"] <= 1
    for accuracy in ACCURACIES:
        assert table[accuracy].between(0, 1).all()
        assert table[accuracy].max() < floors[accuracy]


def test_images_of_another_size_have_a_score_too(tmp_path: Path) -> None:
    chain = CHAIN | {"reference": "digits", "extractor": "identity", "metrics": CHAIN["metrics"][-1:]}
    table = run_chain(chain, store=tmp_path).table()
    assert table["classification_accuracy_score"].between(0, 1).all()


def test_samples_without_labels_have_no_score(tmp_path: Path) -> None:
    generator = {"kind": "wgan_gp", "width": 2, "latent": 2, "steps": 1, "batch": 2}
    chain = CHAIN | {
        "reference": "digits",
        "generator": generator,
        "extractor": "identity",
        "metrics": CHAIN["metrics"][-1:],
    }
    results = run_chain(chain, store=tmp_path)
    assert results.table()["classification_accuracy_score"].isna().all()
    assert floors_of(results, Store.open(tmp_path))["classification_accuracy_score"] > 0.3
