"""Reading results: what a notebook is given is what the store holds."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import madray
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.errors import BadInput, Missing
from madray.references import build_reference
from madray.references.digits import read_digits
from madray.samples import SampleSet
from madray.spec.reading import check_sweep
from madray.spec.references import Digits
from madray.store import Store
from madray.streams import EVALUATION, Stream
from madray.tables import read_table

PARTS = '''
from madray.generators.gaussian import GaussianGenerator
from madray.spec.generators import Gaussian


class Slow(GaussianGenerator):
    """A Gaussian that is not said to be a matter of milliseconds, so that it has pictures."""

    version = 1
    takes_zero_bias = True

    def __init__(self):
        super().__init__(Gaussian())
'''
CHAIN: dict[str, Any] = {
    "reference": "gaussian",
    "generator": "gaussian",
    "loop": "fully_synthetic",
    "n_ini": 200,
    "n_s": 100,
    "n_eval": 50,
    "generations": 3,
}
GRID = {"loop": ["fully_synthetic", {"real": "fixed", "synthetic": "accumulate"}], "lambda": [1.0, 0.5]}


class Silent:
    """Shows nothing."""

    def begin(self, plan: Any) -> None:
        pass

    def event(self, event: Any) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("results-parts")
    (folder / "results_parts.py").write_text(PARTS)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, parts: None) -> Path:
    """A store of two sweeps: four cells with two seeds, and a chain that keeps the last and has pictures."""
    folder = tmp_path_factory.mktemp("results")
    pictured = {**CHAIN, "generator": "results_parts:Slow"}
    for raw in (
        {"name": "grid", "chain": {**CHAIN, "n_r": 20}, "grid": GRID, "seeds": [3, 7]},
        {"name": "last", "chain": pictured, "keep": "last"},
    ):
        prepared = prepare(check_sweep(raw, name="test"), store=Store.open(folder), data=None)
        outcome = run(prepared, executor=execute_here, display=Silent())
        assert set(outcome.states.values()) == {"finished"}
    return folder


def test_a_store_is_a_mapping_of_its_sweeps_by_name(place: Path) -> None:
    results = madray.open(place)
    assert list(results) == ["grid", "last"]
    assert len(results) == 2
    assert "grid" in results and "none" not in results
    assert results["last"].name == "last"
    with pytest.raises(BadInput, match=r"'none'.*there are: grid, last"):
        results["none"]


def test_the_table_is_pandas_or_arrow_with_a_row_per_cell_seed_and_generation(place: Path) -> None:
    sweep = madray.open(place)["grid"]
    frame = sweep.table()
    assert frame.shape == (2 * 2 * 2 * 3, 4 + 3)
    assert list(frame.columns) == ["loop", "lambda", "seed", "generation", "w2_squared", "w2", "variance"]
    assert sweep.arrow().to_pandas().equals(frame)
    np.testing.assert_allclose(frame["w2"] ** 2, frame["w2_squared"], rtol=1e-12)


def test_a_model_of_the_store_samples_what_was_measured(place: Path) -> None:
    one = madray.open(place)["grid"].generation({"loop": "fully_synthetic", "lambda": 0.5}, 2, seed=7)
    assert (one.t, one.seed, one.cell.chain.bias) == (2, 7, 0.5)
    evaluated = one.sample(50, stream=Stream.of(7, 3, "synthetic", 2))  # first used at generation 3
    variance = float(np.trace(np.cov(evaluated.values.astype(float), rowvar=False)))
    frame = madray.open(place)["grid"].table()
    row = frame[
        (frame["loop"] == "fully_synthetic")
        & (frame["lambda"] == 0.5)
        & (frame["seed"] == 7)
        & (frame["generation"] == 2)
    ]
    assert variance == pytest.approx(row["variance"].item(), rel=1e-6)


def test_the_samples_that_were_measured_are_read_and_not_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madray.results.build_generator", None)
    one = madray.open(place)["grid"].generation({"loop": "fully_synthetic", "lambda": 0.5}, 2, seed=7)
    measured = one.measured()
    assert len(measured) == CHAIN["n_eval"]
    assert measured.provenance["stream"] == "7/3/synthetic/2"
    frame = madray.open(place)["grid"].table().set_index(["loop", "lambda", "seed", "generation"])
    variance = float(np.trace(np.cov(measured.values.astype(float), rowvar=False)))
    assert variance == pytest.approx(frame.loc[("fully_synthetic", 0.5, 7, 2), "variance"], rel=1e-6)


def test_of_what_was_measured_only_the_pieces_are_read_that_are_asked_for(tmp_path: Path) -> None:
    generator = {"kind": "ddpm", "timesteps": 2, "steps": 5, "warmup": 1, "width": 8, "depth": 1, "chunk": 20}
    chain = {**CHAIN, "generator": generator, "generations": 1, "metrics": ["variance"]}
    one = madray.run_chain(chain, store=tmp_path).generation({}, 1)
    every, store = one.measured(), Store.open(tmp_path)
    pieces = {
        SampleSet.from_arrow(read_table(store, "draws", key)).values.tobytes(): key
        for key in store.names("draws")
    }
    store.delete("draws", pieces[every.values[20:40].tobytes()])
    assert one.measured(20).values.tobytes() == every.values[:20].tobytes()
    assert one.measured(7).values.tobytes() == every.values[:7].tobytes()
    with pytest.raises(Missing, match="samples of generation 1"):
        one.measured(21)


def test_samples_that_were_not_kept_are_missing_and_the_message_says_how_to_keep_them(place: Path) -> None:
    sweep = madray.open(place)["last"]
    assert len(sweep.generation({}, 3).measured()) == CHAIN["n_eval"]
    with pytest.raises(Missing, match="samples of generation 2, found none; try keep: all"):
        sweep.generation({}, 2).measured()


def test_real_samples_are_those_that_were_compared_with(tmp_path: Path) -> None:
    chain = {**CHAIN, "reference": "digits", "n_s": 200, "metrics": ["fid"]}
    chain |= {
        "generator": {
            "kind": "ddpm",
            "timesteps": 3,
            "steps": 5,
            "warmup": 1,
            "width": 8,
            "depth": 1,
            "chunk": 40,
        },
        "generations": 1,
    }
    sweep = madray.run_chain(chain, store=tmp_path)
    real = sweep.real()
    assert real.values.shape == (50, 1, 8, 8)
    expected = read_digits(Digits())
    drawn = build_reference(Digits(), expected).draw(50, EVALUATION)
    assert real.values.tobytes() == drawn.values.tobytes()
    assert sweep.floors().keys() == {"fid"}


def test_samples_are_the_same_each_time_and_fewer_are_the_beginning_of_more(place: Path) -> None:
    one = madray.open(place)["grid"].generation({"loop": "fully_synthetic", "lambda": 1}, 3)
    again = madray.open(place)["grid"].generation({"loop": "fully_synthetic", "lambda": 1.0}, 3)
    assert one.sample(1500).values[:4].tobytes() == again.sample(4).values.tobytes()
    assert one.sample(4).values.tobytes() != one.sample(4, stream=Stream.of("other")).values.tobytes()


def test_samples_at_another_lambda_have_the_same_noise(place: Path) -> None:
    one = madray.open(place)["grid"].generation({"loop": "fully_synthetic", "lambda": 0.5}, 2)
    model: Any = one.model()
    at = {bias: one.sample(20, bias=bias).values - model.mean.astype(np.float32) for bias in (1.0, 0.5, 0.0)}
    np.testing.assert_allclose(at[0.5], at[1.0] * 0.5**0.5, atol=1e-5)
    assert not at[0.0].any()
    assert one.sample(20).values.tobytes() == one.sample(20, bias=0.5).values.tobytes()


def test_cells_are_named_by_as_many_fields_as_it_takes(place: Path) -> None:
    sweep = madray.open(place)["grid"]
    mapping = {"loop": {"synthetic": "accumulate", "real": "fixed"}, "lambda": 1}
    assert sweep.generation(mapping, 1).cell.chain.loop.real == "fixed"
    for vague in ({}, None, {"lambda": 0.5}, {"lambda": 0.3}, {"lamda": 1.0}):
        with pytest.raises(BadInput, match="expected one cell"):
            sweep.generation(vague, 1)
    assert sweep.generation(mapping, 1).seed == 3  # the first of the seeds
    with pytest.raises(BadInput, match="expected one cell"):
        sweep.generation(mapping, 1, seed=99)


@pytest.mark.parametrize("t", [0, -1, 4])
def test_a_generation_that_the_chain_has_not_is_bad_input(place: Path, t: int) -> None:
    for read in (madray.open(place)["last"].generation, madray.open(place)["last"].grid):
        with pytest.raises(BadInput, match="from 1 to 3"):
            read({}, t)


def test_weights_that_were_not_kept_are_missing_and_the_message_says_how_to_keep_them(place: Path) -> None:
    sweep = madray.open(place)["last"]
    assert sweep.generation({}, 3).sample(3).values.shape == (3, 2)
    for t in (1, 2):
        with pytest.raises(Missing, match="keep: all"):
            sweep.generation({}, t).sample(3)


def test_pictures_are_those_of_the_first_samples_and_stay_whatever_is_kept(place: Path) -> None:
    sweep = madray.open(place)["last"]
    pictures = [Image.open(io.BytesIO(sweep.grid({}, t))) for t in (1, 2, 3)]
    assert {(picture.format, picture.size) for picture in pictures} == {("PNG", (320, 320))}
    assert len({picture.tobytes() for picture in pictures}) == 3


def test_a_model_of_milliseconds_has_no_picture(place: Path) -> None:
    with pytest.raises(Missing, match="picture"):
        madray.open(place)["grid"].grid({"loop": "fully_synthetic", "lambda": 1.0}, 1)


def test_what_is_not_finished_yet_is_missing_and_the_rest_is_there(tmp_path: Path) -> None:
    prepared = prepare(
        check_sweep({"name": "s", "chain": CHAIN}, name="test"), store=Store.open(tmp_path), data=None
    )
    prepared.ledger.write_record(prepared.record)
    sweep = madray.open(tmp_path)["s"]
    assert sweep.table().empty
    assert list(sweep.table().columns) == ["seed", "generation", "w2_squared", "w2", "variance"]
    with pytest.raises(Missing):
        sweep.generation({}, 1).model()
    with pytest.raises(Missing):
        sweep.grid({}, 1)
