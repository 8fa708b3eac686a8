"""Phase maps: colours and lines stand where the numbers put them, on linear and on logarithmic axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from madray.errors import BadInput
from madray.report.brackets import Brackets
from madray.report.phase import boundary, colour_bar, phase_map
from madray.report.style import BLACK, new_figure


def grid(
    ratio: Any, x: tuple[float, ...] = (1.0, 10.0, 100.0), y: tuple[float, ...] = (1.0, 100.0)
) -> pd.DataFrame:
    rows = [{"n_r": a, "n_s": b, "ratio": ratio(a, b)} for a in x for b in y]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # in no order


def drawn(frame: pd.DataFrame, scale: str = "log") -> tuple[Axes, ScalarMappable]:
    axes: Axes = new_figure(height=2.0).subplots()
    axes.set(xscale=scale, yscale="log")
    return axes, phase_map(axes, frame, x="n_r", y="n_s", ratio="ratio")


def test_cells_end_half_way_on_a_logarithmic_axis() -> None:
    axes, mesh = drawn(grid(lambda x, y: x))
    assert isinstance(mesh, QuadMesh)
    corners = np.asarray(mesh.get_coordinates())
    assert corners[0, :, 0] == pytest.approx([10**-0.5, 10**0.5, 10**1.5, 10**2.5])
    assert corners[:, 0, 1] == pytest.approx([0.1, 10.0, 1000.0])
    assert axes.get_xlim() == pytest.approx((10**-0.5, 10**2.5))
    assert axes.get_ylim() == pytest.approx((0.1, 1000.0))


def test_cells_end_half_way_on_a_linear_axis() -> None:
    _, mesh = drawn(grid(lambda x, y: x, x=(0.2, 0.4, 1.0)), "linear")
    assert isinstance(mesh, QuadMesh)
    assert np.asarray(mesh.get_coordinates())[0, :, 0] == pytest.approx([0.1, 0.3, 0.7, 1.3])


def test_each_number_is_in_its_own_cell() -> None:
    _, mesh = drawn(grid(lambda x, y: x * y / 50))
    values = mesh.get_array()
    assert values is not None
    assert np.asarray(values) == pytest.approx(np.array([[0.02, 0.2, 2.0], [2.0, 20.0, 200.0]]))


def test_above_1_is_blue_below_is_red_and_nothing_is_grey() -> None:
    _, mesh = drawn(grid(lambda x, y: {1.0: 0.2, 10.0: 5.0, 100.0: math.nan}[x]))
    red, _, blue, _ = mesh.to_rgba(np.array([0.2, 5.0])).T
    assert red[0] > blue[0]
    assert blue[1] > red[1]
    assert mesh.to_rgba(np.array([0.2, 1.0, 5.0]))[1, :3] == pytest.approx([0.97] * 3, abs=0.02)
    nothing = mesh.to_rgba(np.ma.masked_invalid([math.nan]))[0, :3]
    assert nothing.max() - nothing.min() == 0
    assert nothing.max() < 0.8


@pytest.mark.parametrize(("scale", "middle"), [("log", 10**0.5), ("linear", 5.5)])
def test_the_line_at_1_is_where_the_logarithm_of_the_ratio_crosses_0(scale: str, middle: float) -> None:
    axes, _ = drawn(grid(lambda x, y: 4.0 if x < 5 else 0.25), scale)
    (line,) = (each for each in axes.collections if isinstance(each, ContourSet))
    axes.figure.canvas.draw()
    across = line.get_transform() - axes.transData
    assert across.transform(line.get_paths()[0].vertices)[:, 0] == pytest.approx([middle, middle])
    assert axes.get_xlim()[0] < middle < axes.get_xlim()[1]


def test_without_a_crossing_there_is_no_line() -> None:
    axes, _ = drawn(grid(lambda x, y: 2.0))
    assert not [each for each in axes.collections if isinstance(each, ContourSet)]


def test_a_grid_with_holes_is_refused() -> None:
    frame = grid(lambda x, y: x)
    with pytest.raises(
        BadInput, match="expected all points of a grid of 2 or more values of n_r and of n_s, got 5 of 3 × 2"
    ):
        drawn(frame[1:])
    with pytest.raises(BadInput, match="got 3 of 3 × 1"):
        drawn(frame[frame["n_s"] == 1])


def test_the_scale_of_colours_says_which_ratios_they_are() -> None:
    axes, mesh = drawn(grid(lambda x, y: x))
    figure = axes.figure
    assert isinstance(figure, Figure)
    colour_bar(figure, mesh, [axes], "$n_e/n_r$")
    figure.canvas.draw()
    (bar,) = set(figure.axes) - {axes}
    assert [label.get_text() for label in bar.get_yticklabels()] == ["1/10", "1/3", "1", "3", "10"]
    assert bar.get_yticks() == pytest.approx([0.1, 1 / 3, 1, 3, 10])


def test_a_boundary_has_its_brackets_and_triangles_where_it_is_infinite() -> None:
    axes: Axes = new_figure(height=2.0).subplots()
    ends = Brackets(
        np.array([math.inf, 20.0, 8.0]), np.array([1.0, 15.0, 6.0]), np.array([math.inf, 22.0, 9.0])
    )
    boundary(axes, np.array([1.0, 2.0, 3.0]), ends, BLACK, "here")
    (bars,) = (each for each in axes.collections if isinstance(each, LineCollection))
    assert [segment.tolist() for segment in bars.get_segments()] == [[[2, 15], [2, 22]], [[3, 6], [3, 9]]]
    triangles = next(line for line in axes.lines if line.get_marker() == "^")
    assert list(triangles.get_xdata()) == [1.0]
    assert triangles.get_transform().transform([[1.0, 1.0]])[0, 1] == pytest.approx(axes.bbox.y1)
