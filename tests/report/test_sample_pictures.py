"""t-SNE maps and grids of samples: what was measured is what is shown, and maps say which samples are alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import madray
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.errors import BadInput, Missing
from madray.pictures import grid
from madray.report.grids import sample_grids
from madray.report.tsne import embed, tsne_map
from madray.report.writing import to_png
from madray.results import SweepResults
from madray.running import Nothing
from madray.spec.reading import check_sweep
from madray.store import Store
from madray.streams import Stream

CHAIN: dict[str, Any] = {
    "reference": "digits",
    "generator": {"kind": "ddpm", "timesteps": 3, "steps": 10, "warmup": 1, "width": 16, "depth": 1},
    "loop": "fully_synthetic",
    "n_ini": 40,
    "n_s": 20,
    "n_eval": 50,
    "generations": 3,
    "metrics": ["variance"],
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> SweepResults:
    return madray.run_chain(CHAIN, store=tmp_path_factory.mktemp("pictures"))


def groups(distance: float) -> list[np.ndarray[Any, Any]]:
    """Two sets, each with half of its rows around one point and half around another."""
    rng = Stream.of("tsne-groups").numpy()
    sets = [rng.standard_normal((60, 8)) for _ in range(2)]
    for each in sets:
        each[30:, 0] += distance
    return [each.astype(np.float32) for each in sets]


def test_one_map_has_what_is_alike_in_one_place_whichever_set_it_is_of() -> None:
    one, other = embed(groups(30.0))
    near = [part.mean(axis=0) for part in (one[:30], other[:30])]
    far = [part.mean(axis=0) for part in (one[30:], other[30:])]
    apart = np.linalg.norm(near[0] - far[0])
    assert np.linalg.norm(near[0] - near[1]) < 0.2 * apart
    assert np.linalg.norm(far[0] - far[1]) < 0.2 * apart


def test_a_map_is_the_same_each_time() -> None:
    first, again = (embed(groups(5.0)) for _ in range(2))
    assert [each.tobytes() for each in first] == [each.tobytes() for each in again]


def test_a_map_has_a_panel_for_the_real_samples_and_each_generation(sweep: SweepResults) -> None:
    figure = tsne_map(sweep, {}, [1, 3])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["real", "generation 1", "generation 3"]
    points = [[len(dots.get_offsets()) for dots in axes.collections] for axes in figure.axes]
    assert points == [[50], [50, 50], [50, 50]]  # behind each generation the real ones
    real, generation = figure.axes[0].collections[0], figure.axes[2].collections
    assert np.array_equal(generation[0].get_offsets(), real.get_offsets())
    labels = sweep.generation({}, 3).measured().labels
    assert generation[1].get_array() is not None
    assert np.array_equal(np.asarray(generation[1].get_array()), labels)
    named = {text.get_text() for text in figure.axes[0].texts}
    assert named == set(map(str, np.unique(sweep.real().labels)))
    assert to_png(figure).startswith(b"\x89PNG")


def test_grids_show_the_first_samples_that_were_measured(sweep: SweepResults) -> None:
    figure = sample_grids(sweep, {}, [1, 2, 3])
    assert [axes.get_title() for axes in figure.axes][:4] == ["real", *(f"generation {t}" for t in (1, 2, 3))]
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes[:4]]
    sets = [sweep.real(), *(sweep.generation({}, t).measured() for t in (1, 2, 3))]
    for picture, samples in zip(shown, sets, strict=True):
        expected = grid(samples.values)  # all 50, fewer than the 64 that a picture has at most
        assert np.array_equal(picture.reshape(expected.shape), expected)
    assert to_png(figure).startswith(b"\x89PNG")


def test_generations_whose_samples_went_have_a_grid_and_no_map(tmp_path: Path) -> None:
    raw = {"name": "last", "chain": CHAIN, "keep": "last"}
    prepared = prepare(check_sweep(raw, name="test"), store=Store.open(tmp_path), data=None)
    run(prepared, executor=execute_here, display=Nothing())
    last = madray.open(tmp_path)["last"]
    assert [axes.get_title() for axes in tsne_map(last, {}, [1, 3]).axes if axes.get_title()] == [
        "real",
        "generation 3",
    ]
    images = [axes.images for axes in sample_grids(last, {}, [1, 2, 3]).axes]
    assert [len(each) for each in images[:4]] == [1, 1, 1, 1]


def test_samples_that_were_not_kept_or_cannot_be_shown_are_told(tmp_path: Path, sweep: SweepResults) -> None:
    planar = {**CHAIN, "reference": "gaussian", "generator": "gaussian", "generations": 2}
    flat = madray.run_chain(planar, store=tmp_path)
    with pytest.raises(BadInput, match=r"expected images to show, got samples of shape \(2,\)"):
        sample_grids(flat, {}, [1])
    with pytest.raises(BadInput, match="expected samples with labels to colour a map by, got none"):
        tsne_map(flat, {}, [1])
    flat.record.chains[0].generations[0] = "gone"  # type: ignore[index]
    with pytest.raises(Missing, match="expected the samples of generation 1, found none; try keep: all"):
        flat.generation({}, 1).measured()
