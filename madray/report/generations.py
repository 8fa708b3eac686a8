"""Curves by generation: a panel a number, a line a cell, and the floor of real samples in each panel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from madray.report.chains import SHARES, Chains, Point
from madray.report.curves import SIGMAS, band, horizontal
from madray.report.style import Look, looks, new_figure

_TITLES = {
    "fid": "FID",
    "precision": "precision: quality",
    "recall": "recall: diversity",
    "variance": "variance",
    "label_accuracy": "taken for their label",
    "precision_of_pixels": "precision of pixels",
    "recall_of_pixels": "recall of pixels",
}
"""How a number is called above its panel; one that is not here by its name."""

NOTE = (
    f"Bands are {SIGMAS:g} standard errors over seeds; of one seed there are none. Dashed is what real "
    "samples have, against other real samples where a number compares. Each generation, the first one too, "
    "is measured at the λ of its chain."
)
"""What has to be known to read such curves."""


@dataclass(frozen=True)
class Line:
    """A cell, how it is called, and how it looks."""

    label: str
    point: Point
    look: Look


def some_of(last: int) -> list[int]:
    """Generations to show pictures of: the first few, and then ever fewer, up to the last.

    >>> some_of(4), some_of(15)
    ([1, 2, 3, 4], [1, 2, 3, 5, 10, 15])
    """
    return sorted({t for t in (1, 2, 3, 5, 10, 20, 50, 100) if t < last} | {last})


def listed(biases: Sequence[float]) -> str:
    """Values of λ as a sentence has them.

    >>> listed([1.0, 0.8, 0.5]), listed([0.5])
    ('1, 0.8 and 0.5', '0.5')
    """
    *others, last = (f"{bias:g}" for bias in biases)
    return f"{', '.join(others)} and {last}" if others else last


def for_each(biases: Sequence[float]) -> str:
    """For which λ something was found: one of them is not said to stand for others.

    >>> for_each([1.0, 0.8, 0.5]), for_each([1.0])
    ('for each of λ = 1, 0.8 and 0.5', 'for λ = 1, the only one measured')
    """
    if len(biases) == 1:
        return f"for λ = {listed(biases)}, the only one measured"
    return f"for each of λ = {listed(biases)}"


def lines_by_bias(chains: Chains, others: Point | None = None) -> list[Line]:
    """A line for each λ, from 1 down, of the cells that have these other fields."""
    biases = chains.biases
    return [
        Line(f"λ = {bias:g}", {**(others or {}), "lambda": bias}, look)
        for bias, look in zip(biases, looks(len(biases)), strict=True)
    ]


def by_generation(chains: Chains, names: Sequence[str], lines: Sequence[Line]) -> Figure:
    """A panel for each number, with a curve for each line, and the floor."""
    beside = 1.2 if len(lines) > 1 else 0.0  # for the legend
    figure = new_figure(height=2.9, width=2.4 * max(len(names), 2) + beside)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for line in lines:
            band(axes, *chains.curve(name, line.point), line.look, line.label)
        floor = chains.floors.get(name, math.nan)
        if math.isfinite(floor):
            horizontal(axes, floor, "real" if axes is panels[0] else "")
        _frame(axes, name)
    if len(lines) > 1:
        # Beside the panels, where no curve can pass behind it.
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def _frame(axes: Axes, name: str) -> None:
    """Scales and names of a panel."""
    axes.set(xlabel="generation $t$", title=_TITLES.get(name, name))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if name == "fid":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    else:
        axes.set_ylim(0, 1.05 if name in SHARES else 1.05 * axes.get_ylim()[1])
