"""Curves and their style: what is drawn is what was measured."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb

from madray.report.curves import SIGMAS, band, grouped, horizontal, points, vertical
from madray.report.style import BLACK, Look, house_style, looks, new_figure
from madray.theory import Estimate

X = np.array([1.0, 10.0, 100.0])
Y = Estimate(np.array([4.0, 2.0, 1.0]), np.array([0.4, 0.2, 0.1]))


def some_axes() -> Axes:
    axes: Axes = new_figure(height=2.0).subplots()
    return axes


def test_bars_reach_two_standard_errors_to_either_side() -> None:
    axes = some_axes()
    points(axes, X, Y, BLACK)
    (bars,) = (each for each in axes.collections if isinstance(each, LineCollection))
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert SIGMAS == 2
    assert ends == pytest.approx(
        np.column_stack([Y.mean - 2 * Y.standard_error, Y.mean + 2 * Y.standard_error])
    )


def test_a_band_reaches_two_standard_errors_to_either_side() -> None:
    axes = some_axes()
    band(axes, X, Y, BLACK)
    (filled,) = (each for each in axes.collections if isinstance(each, PolyCollection))
    corners = filled.get_paths()[0].vertices
    for x, mean, error in zip(X, Y.mean, Y.standard_error, strict=True):
        there = corners[corners[:, 0] == x, 1]
        assert (there.min(), there.max()) == pytest.approx((mean - 2 * error, mean + 2 * error))


def test_a_band_has_the_line_of_its_look() -> None:
    axes = some_axes()
    band(axes, X, Y, Look("black", "o", ":"))
    (line,) = axes.lines
    assert line.get_linestyle() == ":"


@pytest.mark.parametrize("curve", [points, band])
def test_groups_are_curves_in_the_order_of_their_values_each_along_x(curve: object) -> None:
    frame = pd.DataFrame(
        {
            "lambda": [0.5, 1.0, 0.5, 1.0],
            "n": [30, 10, 10, 30],
            "w2_squared": [1.0, 2.0, 3.0, 4.0],
            "w2_squared_standard_error": 0.1,
        }
    )
    axes = some_axes()
    assert curve in (points, band)
    drawn = grouped(axes, frame, x="n", y="w2_squared", by="lambda", label="λ = {:g}".format, curve=curve)
    assert list(drawn) == [0.5, 1.0]
    assert axes.get_legend_handles_labels()[1] == ["λ = 0.5", "λ = 1"]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    assert [list(line.get_ydata()) for line in lines] == [[3.0, 1.0], [2.0, 4.0]]
    assert [line.get_color() for line in lines] == [look.colour for look in drawn.values()]


def test_lines_to_compare_with_stand_where_they_belong_and_say_what_they_are() -> None:
    axes = some_axes()
    horizontal(axes, 3.0, "floor")
    vertical(axes, 5.0, "no threshold here")
    horizontal(axes, 4.0)
    across, up, bare = axes.lines
    assert set(across.get_ydata()) == {3.0}
    assert set(up.get_xdata()) == {5.0}
    assert set(bare.get_ydata()) == {4.0}
    assert [text.get_text() for text in axes.texts] == ["floor", "no threshold here"]


def test_the_style_is_left_behind_and_takes_nothing_from_outside() -> None:
    before = dict(matplotlib.rcParams)
    with house_style():
        inside = dict(matplotlib.rcParams)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"lines.linewidth": 9.0, "axes.facecolor": "red"}), house_style():
        assert dict(matplotlib.rcParams) == inside
    assert inside["lines.linewidth"] < 9


@pytest.mark.parametrize("count", range(2, 9))
def test_looks_are_told_apart_by_marker_and_by_how_dark_they_are(count: int) -> None:
    chosen = looks(count)
    assert len({look.marker for look in chosen}) == count
    grey = [np.dot(to_rgb(look.colour), (0.2126, 0.7152, 0.0722)) for look in chosen]
    assert (np.diff(grey) > 0.05).all()


def test_there_are_more_looks_than_markers() -> None:
    assert len(set(looks(20))) == 20
