"""Curves over a numeric axis: points with error bars, bands, and lines to compare them with.

Axes are linear or logarithmic as their owner sets them. Bars and bands reach `SIGMAS` standard errors to
either side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from madray.report.measured import estimates, groups
from madray.report.style import GREY, Look, looks
from madray.theory import Estimate
from madray.theory.estimate import Array

SIGMAS = 2.0
"""Standard errors that a bar or a band reaches to either side."""

Curve = Callable[[Axes, Array, Estimate[Array], Look, str], None]


def points(axes: Axes, x: Array, y: Estimate[Array], look: Look, label: str = "") -> None:
    """Points with error bars, joined by a line: for curves of some points."""
    axes.errorbar(
        x,
        y.mean,
        yerr=SIGMAS * y.standard_error,
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        label=label,
    )


def band(axes: Axes, x: Array, y: Estimate[Array], look: Look, label: str = "") -> None:
    """A line in a band, with a marker where it begins: for curves of many points."""
    reach = SIGMAS * y.standard_error
    axes.fill_between(x, y.mean - reach, y.mean + reach, color=look.colour, alpha=0.25, linewidth=0)
    axes.plot(
        x, y.mean, color=look.colour, marker=look.marker, linestyle=look.line, markevery=[0], label=label
    )


def grouped(
    axes: Axes,
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str,
    label: Callable[[Any], str],
    curve: Curve = points,
) -> dict[Any, Look]:
    """One curve for each value of a column, in its order.

    Args:
        x, y, by: columns of the frame; that of y's standard errors stands beside y.
        label: how a value of `by` is called.
        curve: `points` or `band`.

    Returns: the look of each value.
    """
    found = groups(frame.sort_values(x), by)
    drawn = {value: look for (value, _), look in zip(found, looks(len(found)), strict=True)}
    for value, group in found:
        curve(axes, group[x].to_numpy(dtype=float), estimates(group, y), drawn[value], label(value))
    return drawn


def horizontal(axes: Axes, y: float, text: str = "", *, colour: str = GREY) -> None:
    """A dashed line across, such as a floor, with a word on it at the right end."""
    axes.axhline(y, color=colour, linestyle="--", linewidth=0.9, zorder=1)
    if text:
        axes.annotate(
            text,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color=colour,
            fontsize=8,
        )


def vertical(axes: Axes, x: float, text: str = "", *, colour: str = GREY) -> None:
    """A dashed line upwards, with a word along its left side at the top."""
    axes.axvline(x, color=colour, linestyle="--", linewidth=0.9, zorder=1)
    if text:
        axes.annotate(
            text,
            (x, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-2, -8),
            textcoords="offset points",
            ha="right",
            va="top",
            rotation=90,
            color=colour,
            fontsize=8,
        )
