"""Figure 11: how much synthetic data Gaussian loops with fresh real data stand, as real data grows.

madray sweep sweeps/fig11.yaml && madray sweep sweeps/fig11_map.yaml
python analysis/fig11.py            # writes analysis/results/fig11.*
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from madray import theory
from madray.report.brackets import Brackets, all_rise
from madray.report.claims import Claim
from madray.report.comparing import all_above
from madray.report.curves import horizontal, vertical
from madray.report.measured import Measured, estimates, groups
from madray.report.phase import boundary, colour_bar, phase_map
from madray.report.script import Findings, main
from madray.report.style import DOTS, looks, new_figure

SWEEPS = ("fig11", "fig11_map")

MODEST = 100
"""An n_s that helps."""

LARGE = 1000
"""The n_r from which on the threshold is said to level off."""

POWER = 1 / 3
"""As which power of n_r it may still grow there; in proportion to n_r it would be 1."""

NEAR = 0.2
"""How near to its limit the threshold has to come at the largest n_r, as a share of it."""

NOTE = (
    "On the maps the line is where n_e = n_r between points of the grid; dots are the thresholds n_s* below, "
    "each searched for by itself. Triangles at the upper edge: every n_s is admissible."
)


def find(thresholds: Measured, grid: Measured) -> Findings:
    """Thresholds n_s* by n_r, and n_e / n_r over n_r and n_s."""
    d = thresholds.constant("d")
    table = thresholds.table.sort_values(["lambda", "n_r"], ascending=[False, True])
    alone = theory.effective_sample_size(float(d), d)
    modest = grid.table[grid.table["n_s"] == MODEST]
    helps = f"a modest amount helps: with n_s = {MODEST} n_e is above n_r, for every n_r and λ"
    return Findings(
        title="Figure 11: the admissible amount of synthetic data as real data grows",
        picture=_picture(table, grid.table, d, alone),
        table=table,
        claims=[
            all_above(helps, estimates(modest, "n_e_over_n_r"), bound=1.0),
            _infinite_below(table, alone),
            *_levels_off(table, d),
            *_orders(table),
        ],
        questions=[_only_falls(table)],
        note=NOTE,
    )


def _picture(table: pd.DataFrame, grid: pd.DataFrame, d: int, alone: float) -> Figure:
    figure = new_figure(height=6.0)
    biases = table["lambda"].unique()
    places = figure.add_gridspec(2, len(biases), height_ratios=[1, 1.15])
    maps = [figure.add_subplot(places[0, column]) for column in range(len(biases))]
    thresholds = figure.add_subplot(places[1, :])
    for axes, bias, look in zip(maps, biases, looks(len(biases)), strict=True):
        axes.set(xscale="log", yscale="log", title=f"λ = {bias:g}", xlabel="$n_r$")
        mesh = phase_map(axes, grid[grid["lambda"] == bias], x="n_r", y="n_s", ratio="n_e_over_n_r")
        curve = table[table["lambda"] == bias]
        n_r, n_s = curve["n_r"].to_numpy(dtype=float), Brackets.of(curve, "n_s_star")
        boundary(axes, n_r, n_s, DOTS)
        boundary(thresholds, n_r, n_s, look, f"λ = {bias:g}")
        horizontal(thresholds, theory.boundary_limit(d, bias), colour=look.colour)
    maps[0].set_ylabel("$n_s$")
    colour_bar(figure, mesh, maps, "$n_e / n_r$")
    thresholds.set(xscale="log", yscale="log", xlabel="$n_r$", ylabel="threshold $n_s^*$")
    vertical(thresholds, alone, "no threshold here")
    thresholds.legend(title="dashed: $n_r \\to \\infty$")
    return figure


def _infinite_below(table: pd.DataFrame, alone: float) -> Claim:
    """n_r real samples that are worse alone than a single point gain by any amount of synthetic data."""
    infinite = np.isinf(table["n_s_star"])
    holds = bool((infinite == (table["n_r"] < alone)).all())
    evidence = (
        f"W2² of {alone:.1f} real samples is d; n_s* is infinite up to n_r = {table['n_r'][infinite].max()}, "
        f"finite from n_r = {table['n_r'][~infinite].min()} on"
    )
    return Claim(
        "there is a threshold where n_r real samples alone are better than a point, and only there",
        holds,
        evidence,
    )


def _levels_off(table: pd.DataFrame, d: int) -> list[Claim]:
    powers, apart = {}, {}
    for bias, curve in groups(table, "lambda"):
        first, last = curve[curve["n_r"] >= LARGE].iloc[0], curve.iloc[-1]
        growth = np.log(last["n_s_star_high"] / first["n_s_star_low"])
        powers[bias] = growth / np.log(last["n_r"] / first["n_r"])
        limit = theory.boundary_limit(d, bias)
        apart[bias] = max(100 * abs(last[end] / limit - 1) for end in ("n_s_star_low", "n_s_star_high"))
    largest = table["n_r"].max()
    return [
        Claim(
            f"n_s* levels off: from n_r = {LARGE:,} to {largest:,} it grows at most as n_r^{POWER:.2g}",
            bool(max(powers.values()) <= POWER),
            _each(powers, "n_r^{:.2f} at most"),
        ),
        Claim(
            f"at n_r = {largest:,} n_s* is the limit that closed forms give for n_r → ∞, to {100 * NEAR:g} %",
            bool(max(apart.values()) <= 100 * NEAR),
            _each(apart, "{:.1f} % apart at most"),
        ),
    ]


def _orders(table: pd.DataFrame) -> list[Claim]:
    finite = table[np.isfinite(table["n_s_star"])]
    shares = (
        Brackets.of(curve, "n_s_star").over(curve["n_r"].to_numpy(dtype=float))
        for _, curve in groups(finite.sort_values("n_r", ascending=False), "lambda")
    )
    by_bias = (Brackets.of(at_n_r, "n_s_star") for _, at_n_r in groups(finite.sort_values("lambda"), "n_r"))
    return [
        all_rise("n_s*/n_r falls with every step up in n_r", shares),
        all_rise("the smaller λ, the smaller n_s*, at every n_r that has a threshold", by_bias),
    ]


def _only_falls(table: pd.DataFrame) -> Claim:
    finite = table[np.isfinite(table["n_s_star"])].sort_values("n_r", ascending=False)
    claim = all_rise(
        "n_s* only falls as n_r grows",
        (Brackets.of(curve, "n_s_star") for _, curve in groups(finite, "lambda")),
    )
    least = {bias: curve.sort_values("n_s_star")["n_r"].iloc[0] for bias, curve in groups(finite, "lambda")}
    return Claim(claim.text, claim.holds, _each(least, "least at n_r = {:.0f}"))


def _each(numbers: dict[float, float], told: str) -> str:
    return "; ".join(
        f"λ = {bias:g}: {told.format(number)}" for bias, number in sorted(numbers.items(), reverse=True)
    )


if __name__ == "__main__":
    sys.exit(main(__file__, SWEEPS, find))
