"""The quickstart: what it plans, and, where there is time, what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.running import Nothing
from madray.spec.reading import read_sweep
from madray.store import Store
from madray.table import table

FILE = Path(__file__).parents[1] / "sweeps" / "quickstart.yaml"


def test_it_fits_generation_1_once_and_three_more_for_each_of_six_cells(tmp_path: Path) -> None:
    made = prepare(read_sweep(FILE), store=Store.open(tmp_path), data=None).plan
    assert (made.generations, made.shared, len(made.fits)) == (19, 5, 19)
    assert sorted(len(segment.orders) for segment in made.segments) == [1, 3, 3, 3, 3, 3, 3]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_its_numbers_show_the_effect_of_the_paper(tmp_path: Path) -> None:
    prepared = prepare(read_sweep(FILE), store=Store.open(tmp_path), data=None)
    outcome = run(prepared, executor=execute_here, display=Nothing())
    frame = table(prepared.record, outcome.rows).to_pandas().set_index(["loop", "lambda", "generation"])
    numbers = {name: frame[name].unstack() for name in ("fid", "precision", "recall")}
    alone = ("fully_synthetic", 1.0)
    assert numbers["fid"].loc[alone].is_monotonic_increasing
    assert numbers["recall"].loc[alone].diff().dropna().lt(0).all()
    biased = ("fully_synthetic", 0.5)
    assert (numbers["precision"].loc[biased] > numbers["precision"].loc[alone]).all()
    assert (numbers["recall"].loc[biased] < numbers["recall"].loc[alone]).all()
    lost = numbers["fid"][4] - numbers["fid"][1]
    for loop in ("synthetic_augmentation", "fresh_data"):
        assert lost[loop, 1.0] < 0.5 * lost[alone]
