"""The style of all pictures: quiet, told apart by colour-blind readers and in grey, readable in print."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

GREY = "#606060"
"""Of all that is a reference and no result."""

_STYLE: dict[str, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "errorbar.capsize": 2.0,
    "legend.frameon": False,
    "savefig.dpi": 200.0,
}

_MARKERS = "osD^vP*X"


@dataclass(frozen=True)
class Look:
    """How one of several groups is told from the others."""

    colour: str
    marker: str
    line: str = "-"


BLACK = Look("black", "o")
"""Of a curve that stands by itself."""

DOTS = Look("black", "o", line="none")
"""Of points on a map, which has a line of its own."""


def house_style() -> AbstractContextManager[None]:
    """Inside, pictures are drawn in this style, whatever the settings of matplotlib are outside."""
    return matplotlib.style.context(_STYLE, after_reset=True)


def looks(count: int) -> list[Look]:
    """Looks of groups in their order: colours from dark to light, and markers for those who see no colours.

    >>> [look.marker for look in looks(3)]
    ['o', 's', 'D']
    """
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, count))
    colours = [to_hex(shade) for shade in shades]
    return [Look(*pair) for pair in zip(colours, islice(cycle(_MARKERS), count), strict=True)]


def new_figure(*, height: float, width: float = 7.2) -> Figure:
    """An empty figure, in inches; its parts keep out of each other's way."""
    return Figure(figsize=(width, height), layout="constrained")


def new_panels(titles: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """A figure of squares of one scale, three to a row, without axes: for maps and grids of samples."""
    columns = min(len(titles), 3)
    rows = -(-len(titles) // columns)
    figure = new_figure(height=2.5 * rows, width=2.4 * columns)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for axes in panels:
        axes.axis("off")
    for axes, title in zip(panels, titles, strict=False):
        axes.set_title(title)
    return figure, panels[: len(titles)]
