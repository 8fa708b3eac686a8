"""Phase maps: a ratio over two axes, blue where it is above 1 and red below, and the line where it is 1."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from madray.errors import BadInput
from madray.report.brackets import Brackets
from madray.report.style import Look
from madray.theory.estimate import Array

_MOST = 10.0
"""The ratio from which on, and its inverse below which, colours stay the same."""

_TICKS = {0.1: "1/10", 1 / 3: "1/3", 1.0: "1", 3.0: "3", 10.0: "10"}


def phase_map(axes: Axes, frame: pd.DataFrame, *, x: str, y: str, ratio: str) -> ScalarMappable:
    """Colours of a ratio on a full grid, each cell around its point, and the line on which the ratio is 1.

    The scales of the axes, linear or logarithmic, are set before: cells end half-way between points on these
    scales, and between points the logarithm of the ratio is taken to be linear on them. NaN is grey.

    Args:
        x, y, ratio: columns of the frame; each pair of x and y stands there once.

    Returns: what `colour_bar` draws its scale from.

    Raises: BadInput, if points of the grid are missing, or there are fewer than two along an axis.
    """
    grid = frame.pivot(index=y, columns=x, values=ratio).sort_index().sort_index(axis=1)
    if len(frame) < grid.size or min(grid.shape) < 2:
        raise BadInput(
            f"expected all points of a grid of 2 or more values of {x} and of {y}, "
            f"got {len(frame)} of {grid.shape[1]} × {grid.shape[0]}"
        )
    values = np.ma.masked_invalid(grid.to_numpy(dtype=float))
    xs, ys = grid.columns.to_numpy(dtype=float), grid.index.to_numpy(dtype=float)
    x_edges, y_edges = _edges(axes.xaxis, xs), _edges(axes.yaxis, ys)
    colours = matplotlib.colormaps["RdBu"].with_extremes(bad="#b0b0b0")
    mesh = axes.pcolormesh(x_edges, y_edges, values, norm=LogNorm(1 / _MOST, _MOST), cmap=colours)
    if values.min() < 1 < values.max():
        # Interpolated on the axes' own scales; contour() would do it in units of the data.
        scaled = (
            axis.get_transform().transform(ticks) for axis, ticks in ((axes.xaxis, xs), (axes.yaxis, ys))
        )
        on_scales = axes.transLimits + axes.transAxes
        axes.contour(
            *scaled, np.ma.log(values), levels=[0.0], colors="black", linewidths=1.3, transform=on_scales
        )
    axes.grid(visible=False)
    axes.set_xlim(x_edges[0], x_edges[-1])
    axes.set_ylim(y_edges[0], y_edges[-1])
    return mesh


def colour_bar(figure: Figure, mesh: ScalarMappable, axes: Sequence[Axes], label: str) -> None:
    """The scale of the colours of one or several maps."""
    bar = figure.colorbar(mesh, ax=axes, extend="both", label=label)
    bar.set_ticks(list(_TICKS), labels=list(_TICKS.values()))
    bar.minorticks_off()


def boundary(axes: Axes, x: Array, brackets: Brackets, look: Look, label: str = "") -> None:
    """A boundary with its brackets as bars; where it is infinite, a triangle at the upper edge."""
    finite = np.isfinite(brackets.value)
    value, low, high = brackets.value[finite], brackets.low[finite], brackets.high[finite]
    axes.errorbar(
        x[finite],
        value,
        yerr=[value - low, high - value],
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        label=label,
    )
    on_edge = axes.get_xaxis_transform()
    axes.plot(
        x[~finite],
        np.ones(np.sum(~finite)),
        "^",
        color=look.colour,
        transform=on_edge,
        clip_on=False,
        zorder=3,
    )


def _edges(axis: Axis, points: Array) -> Array:
    """Where cells around points end: half-way on the axis' scale, and as far out at both ends."""
    scale = axis.get_transform()
    there = scale.transform(points)
    middle = (there[1:] + there[:-1]) / 2
    ends = [2 * there[0] - middle[0], *middle, 2 * there[-1] - middle[-1]]
    return np.asarray(scale.inverted().transform(np.array(ends)), dtype=float)
