"""Curves by generation: every panel has its curves and its floor, and one seed has no band."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from madray.report.chains import Chains
from madray.report.generations import by_generation, lines_by_bias
from madray.report.writing import to_png

FLOORS = {"fid": 1.5, "recall": 0.95, "variance": 60.0}


def chains(seeds: int) -> Chains:
    rows = [
        {
            "lambda": bias,
            "seed": seed,
            "generation": t,
            "fid": t * (1 + seed),
            "recall": bias / t,
            "variance": 50 / t,
        }
        for bias in (0.5, 1.0)
        for seed in range(seeds)
        for t in (1, 2, 3)
    ]
    return Chains("made-up", pd.DataFrame(rows), FLOORS, 100)


def drawn(seeds: int = 2) -> list[Axes]:
    one = chains(seeds)
    figure = by_generation(one, list(FLOORS), lines_by_bias(one))
    assert to_png(figure).startswith(b"\x89PNG")
    return figure.axes


def test_every_panel_has_the_floor_of_its_number_within_sight() -> None:
    for axes, floor in zip(drawn(), FLOORS.values(), strict=True):
        dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert [list(line.get_ydata()) for line in dashed] == [[floor, floor]]
        low, high = axes.get_ylim()
        assert low <= floor <= high


def test_every_panel_has_the_mean_over_seeds_of_each_lambda() -> None:
    for axes, first in zip(drawn(), (1.5, 1.0, 50.0), strict=True):
        curves = [line for line in axes.lines if line.get_linestyle() == "-"]
        assert [list(line.get_xdata()) for line in curves] == [[1, 2, 3]] * 2
        assert curves[0].get_ydata()[0] == pytest.approx(first)  # λ = 1 comes first
    [legend] = drawn()[0].get_figure().legends
    assert [text.get_text() for text in legend.get_texts()] == ["λ = 1", "λ = 0.5"]


def test_bands_are_there_with_several_seeds_and_not_with_one() -> None:
    def filled(axes: Axes) -> list[bool]:
        bands = [each for each in axes.collections if isinstance(each, PolyCollection)]
        return [
            any(np.isfinite(path.vertices).all() and len(path.vertices) for path in each.get_paths())
            for each in bands
        ]

    assert filled(drawn(2)[0]) == [True, True]
    assert not any(filled(drawn(1)[0]))


def test_a_number_without_a_floor_has_none() -> None:
    one = chains(2)
    bare = Chains(one.name, one.table, {"fid": math.nan}, one.n_eval)
    figure = by_generation(bare, ["fid", "recall"], lines_by_bias(bare))
    assert not [line for axes in figure.axes for line in axes.lines if line.get_linestyle() == "--"]
