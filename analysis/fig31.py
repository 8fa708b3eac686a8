"""Figure 31: Gaussian loops with fresh real data as the whole training set grows, by real share and by λ.

madray sweep sweeps/fig31.yaml && madray sweep sweeps/fig31_bias.yaml
python analysis/fig31.py            # writes analysis/results/fig31.*
"""

from __future__ import annotations

import sys

import pandas as pd
from matplotlib.figure import Figure

from madray import theory
from madray.report.claims import Claim
from madray.report.comparing import all_above, all_within, joined, slope, steps
from madray.report.curves import grouped, horizontal
from madray.report.measured import Measured, estimates, groups
from madray.report.script import Findings, main
from madray.report.style import new_figure
from madray.theory import Estimate
from madray.theory.estimate import Array

SWEEPS = ("fig31", "fig31_bias")

LARGEST = 3
"""How many of the largest n a slope at the end is taken over."""

NEAR = 0.02
"""How far slopes may be from −1, and W2² from its floor as a share of it."""


def find(by_share: Measured, by_bias: Measured) -> Findings:
    """W2² by n: for several p with λ = 1, and for several λ with one p."""
    d, p = by_bias.constant("d"), by_bias.constant("p")
    shares = by_share.table.assign(**{"lambda": by_share.constant("lambda")}).sort_values("n")
    biases = by_bias.table.assign(p=p).sort_values("n")
    floors = {bias: theory.bias_floor(d, p, bias) for bias in biases["lambda"].unique()}
    return Findings(
        title="Figure 31: W2² by the size of the training set, by real share and by sampling bias",
        picture=_picture(shares, biases, floors),
        table=_slopes(pd.concat([shares, biases]), d),
        claims=[*_claims_by_share(shares), *_claims_by_bias(biases, floors)],
        questions=[_flatter(shares)],
    )


def _picture(shares: pd.DataFrame, biases: pd.DataFrame, floors: dict[float, float]) -> Figure:
    figure = new_figure(height=3.2)
    left, right = figure.subplots(1, 2)
    grouped(left, shares, x="n", y="w2_squared", by="p", label=lambda p: f"$p$ = {p:g}")
    left.set_title(f"λ = {shares['lambda'].iloc[0]:g}")
    drawn = grouped(right, biases, x="n", y="w2_squared", by="lambda", label=lambda bias: f"λ = {bias:g}")
    right.set_title(f"$p$ = {biases['p'].iloc[0]:g}; dashed: floors for $n \\to \\infty$")
    for bias, floor in floors.items():
        horizontal(right, floor, colour=drawn[bias].colour)
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="training set $n$", ylabel="limit of E $W_2^2$")
        axes.legend()
    return figure


def _slopes(curves: pd.DataFrame, d: int) -> pd.DataFrame:
    """A line a curve: its log-log slope over all n and at the end, what it comes to, and its floor."""
    lines = []
    by_bias_and_share = (
        (bias, *found) for bias, of_bias in groups(curves, "lambda") for found in groups(of_bias, "p")
    )
    for bias, p, curve in by_bias_and_share:
        whole, end = _slope(curve), _slope(curve[-LARGEST:])
        last = curve.iloc[-1]
        lines.append(
            {
                "lambda": bias,
                "p": p,
                "slope": whole.mean[0],
                "slope_standard_error": whole.standard_error[0],
                "slope_of_largest": end.mean[0],
                "slope_of_largest_standard_error": end.standard_error[0],
                "largest_n": last["n"],
                "w2_squared": last["w2_squared"],
                "w2_squared_standard_error": last["w2_squared_standard_error"],
                "floor": theory.bias_floor(d, p, bias),
            }
        )
    return pd.DataFrame(lines)


def _claims_by_share(shares: pd.DataFrame) -> list[Claim]:
    falls = (steps(_w2_squared(curve[::-1])) for _, curve in groups(shares, "p"))
    higher = (steps(_w2_squared(at_n.sort_values("p", ascending=False))) for _, at_n in groups(shares, "n"))
    ends = joined(_slope(curve[-LARGEST:]) for _, curve in groups(shares, "p"))
    return [
        all_above("λ = 1: W2² falls with n, for every p", joined(falls)),
        all_above("λ = 1: W2² is higher with less real data, at every n", joined(higher)),
        all_within(
            "λ = 1: at the largest n W2² falls as 1/n, for every p: less real data costs a factor, no rate",
            Estimate(ends.mean + 1, ends.standard_error),
            NEAR,
        ),
    ]


def _claims_by_bias(biases: pd.DataFrame, floors: dict[float, float]) -> list[Claim]:
    over = {bias: _over(curve, floors[bias]) for bias, curve in groups(biases, "lambda")}
    slopes = joined(_slope(curve) for _, curve in groups(biases, "lambda"))
    ends = joined(Estimate(each.mean[-1:], each.standard_error[-1:]) for each in over.values())
    return [
        all_above("λ < 1: W2² stays above its floor, at every n", joined(over.values())),
        all_within(f"λ < 1: at the largest n W2² is at its floor, to {100 * NEAR:g} %", ends, NEAR),
        all_above("λ < 1: over all n W2² falls slower than 1/n", slopes, bound=-1.0),
    ]


def _flatter(shares: pd.DataFrame) -> Claim:
    found = {p: _slope(curve) for p, curve in reversed(groups(shares, "p"))}
    text = "λ = 1: over all n the slope is flatter with less real data, as the paper says"
    claim = all_above(text, steps(joined(found.values())))
    told = [f"{each.mean[0]:.5f} ± {each.standard_error[0]:.5f} with p = {p:g}" for p, each in found.items()]
    return Claim(text, claim.holds, f"{', '.join(told)}; {claim.evidence}")


def _w2_squared(frame: pd.DataFrame) -> Estimate[Array]:
    return estimates(frame, "w2_squared")


def _slope(curve: pd.DataFrame) -> Estimate[Array]:
    return slope(curve["n"].to_numpy(dtype=float), _w2_squared(curve))


def _over(curve: pd.DataFrame, floor: float) -> Estimate[Array]:
    """How far W2² is above its floor, as a share of it."""
    found = _w2_squared(curve)
    return Estimate(found.mean / floor - 1, found.standard_error / floor)


if __name__ == "__main__":
    sys.exit(main(__file__, SWEEPS, find))
