"""Figure 12: how much synthetic data Gaussian loops with fresh real data stand, by sampling bias.

madray sweep sweeps/fig12.yaml && madray sweep sweeps/fig12_map.yaml
python analysis/fig12.py            # writes analysis/results/fig12.*
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madray import theory
from madray.report.brackets import Brackets, all_rise
from madray.report.claims import Claim
from madray.report.comparing import all_above, joined, steps
from madray.report.measured import Measured, estimates, groups
from madray.report.phase import boundary, colour_bar, phase_map
from madray.report.script import Findings, main
from madray.report.style import DOTS, GREY, Look, looks, new_figure

SWEEPS = ("fig12", "fig12_map")

NOTE = (
    "On the maps the line is where n_e = n_r between points of the grid; dots are the thresholds n_s* below, "
    "each searched for by itself. Triangles at the upper edge: every n_s is admissible."
)


def find(thresholds: Measured, grid: Measured) -> Findings:
    """Thresholds n_s* by λ, and n_e / n_r over λ and n_s, for some n_r."""
    table = thresholds.table.sort_values(["n_r", "lambda"])
    return Findings(
        title="Figure 12: the admissible amount of synthetic data by sampling bias",
        picture=_picture(table, grid.table, thresholds.constant("d")),
        table=table,
        claims=_claims(table, grid.table),
        questions=[_better_without_bias(grid.table)],
        note=NOTE,
    )


def _picture(table: pd.DataFrame, grid: pd.DataFrame, d: int) -> Figure:
    figure = new_figure(height=3.0)
    mapped, sizes = sorted(grid["n_r"].unique()), table["n_r"].unique()
    *maps, thresholds = figure.subplots(1, len(mapped) + 1)
    for axes, n_r in zip(maps, mapped, strict=True):
        axes.set(yscale="log", title=f"$n_r$ = {n_r:,}", xlabel="λ")
        mesh = phase_map(axes, grid[grid["n_r"] == n_r], x="lambda", y="n_s", ratio="n_e_over_n_r")
        _thresholds(axes, table, n_r, DOTS)
    maps[0].set_ylabel("$n_s$")
    colour_bar(figure, mesh, maps, "$n_e / n_r$")
    for n_r, look in zip(sizes, looks(len(sizes)), strict=True):
        _thresholds(thresholds, table, n_r, look, f"$n_r$ = {n_r:,}")
    biases = np.linspace(table["lambda"].min(), table["lambda"][table["lambda"] < 1].max(), 200)
    limits = [theory.boundary_limit(d, bias) for bias in biases]
    thresholds.plot(biases, limits, color=GREY, linestyle="--", linewidth=0.9, label="$n_r \\to \\infty$")
    thresholds.set(yscale="log", xlabel="λ", ylabel="threshold $n_s^*$")
    thresholds.legend()
    return figure


def _thresholds(axes: Axes, table: pd.DataFrame, n_r: int, look: Look, label: str = "") -> None:
    curve = table[table["n_r"] == n_r]
    boundary(axes, curve["lambda"].to_numpy(dtype=float), Brackets.of(curve, "n_s_star"), look, label)


def _claims(table: pd.DataFrame, grid: pd.DataFrame) -> list[Claim]:
    by_size = (Brackets.of(curve, "n_s_star") for _, curve in groups(table, "n_r"))
    unbiased, unbiased_map = table[table["lambda"] == 1], grid[grid["lambda"] == 1]
    return [
        all_rise("the smaller λ, the smaller n_s*, for every n_r", by_size),
        Claim(
            "λ = 1 has no threshold: any amount of synthetic data is admissible",
            len(unbiased) > 0 and bool(np.isinf(unbiased["n_s_star"]).all()),
            "; ".join(f"n_r = {row.n_r:,}: n_s* is {row.n_s_star:g}" for row in unbiased.itertuples()),
        ),
        all_above(
            f"λ = 1: n_e is above n_r at every n_s on the map, which ends at {unbiased_map['n_s'].max():,}",
            estimates(unbiased_map, "n_e_over_n_r"),
            bound=1.0,
        ),
    ]


def _better_without_bias(grid: pd.DataFrame) -> Claim:
    rises = (
        steps(estimates(row, "n_e_over_n_r"))
        for _, at_n_r in groups(grid.sort_values("lambda"), "n_r")
        for _, row in groups(at_n_r, "n_s")
    )
    return all_above("n_e rises with every step up in λ, at every n_r and n_s", joined(rises))


if __name__ == "__main__":
    sys.exit(main(__file__, SWEEPS, find))
