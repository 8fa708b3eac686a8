"""Figure 10, left: Gaussian loops with fresh real data forget the size of their first training set.

madray sweep sweeps/fig10_gaussian.yaml
python analysis/fig10_gaussian.py            # writes analysis/results/fig10_gaussian.*
"""

from __future__ import annotations

import sys

import pandas as pd
from matplotlib.figure import Figure

from madray import theory
from madray.report.claims import Claim
from madray.report.comparing import all_above, all_within, joined, less, logged, none_differs, pairs, steps
from madray.report.curves import band, grouped, horizontal
from madray.report.measured import Measured, estimates, groups
from madray.report.script import Findings, main
from madray.report.style import new_figure

SWEEPS = ("fig10_gaussian",)

NEAR = 0.02
"""How near the last generations have to come to the limit, as a share of it."""

NOTE = (
    "Cells share random numbers: chains that have forgotten how they began and see the same numbers are the "
    "same chains, and their means agree to the last digit. The limit takes other random numbers, and so do "
    "chains with n_ini ≤ d."
)


def find(chains: Measured) -> Findings:
    """Curves by generation, and where they end."""
    table = chains.table.sort_values(["lambda", "n_ini"], ascending=[False, True])
    ends = _with_limits(table[table["generation"] == table["generation"].max()], chains)
    return Findings(
        title="Figure 10, left: fresh-data loops of Gaussians by the size of their first training set",
        picture=_picture(table, ends),
        table=ends,
        claims=_claims(table[table["generation"] == 1], ends),
        note=NOTE,
    )


def _with_limits(last: pd.DataFrame, chains: Measured) -> pd.DataFrame:
    """The last generation of each cell, and beside it the limit, simulated apart from these chains."""
    d, n_r, n_s = (chains.constant(field) for field in ("d", "n_r", "n_s"))
    limits = {bias: theory.limit(d, n_r, n_s, bias) for bias in last["lambda"].unique()}
    return last[["lambda", "n_ini", "generation", "w2_squared", "w2_squared_standard_error"]].assign(
        limit=last["lambda"].map({bias: limit.mean for bias, limit in limits.items()}),
        limit_standard_error=last["lambda"].map(
            {bias: limit.standard_error for bias, limit in limits.items()}
        ),
    )


def _picture(table: pd.DataFrame, ends: pd.DataFrame) -> Figure:
    figure = new_figure(height=3.0)
    biases = table["lambda"].unique()
    for axes, bias in zip(
        figure.subplots(1, len(biases), sharey=True, squeeze=False)[0], biases, strict=True
    ):
        grouped(
            axes,
            table[table["lambda"] == bias],
            x="generation",
            y="w2_squared",
            by="n_ini",
            label=lambda n_ini: f"$n_{{ini}}$ = {n_ini:,}",
            curve=band,
        )
        limit = ends.loc[ends["lambda"] == bias, "limit"].iloc[0]
        horizontal(axes, limit, f"limit: {limit:.2f}")
        axes.set(xscale="log", yscale="log", xlabel="generation $t$", title=f"λ = {bias:g}")
    figure.axes[0].set_ylabel("E $W_2^2$ to the real distribution")
    figure.axes[-1].legend(loc="lower right")
    return figure


def _claims(first: pd.DataFrame, ends: pd.DataFrame) -> list[Claim]:
    by_bias = [group for _, group in groups(ends, "lambda")]
    falls = joined(steps(estimates(group[::-1], "w2_squared")) for _, group in groups(first, "lambda"))
    apart = joined(pairs(estimates(group, "w2_squared")) for group in by_bias)
    off = joined(
        less(logged(estimates(group, "w2_squared")), logged(estimates(group, "limit"))) for group in by_bias
    )
    last = ends["generation"].iloc[0]
    return [
        all_above("first models differ: the larger n_ini, the smaller W2² of generation 1", falls),
        none_differs(f"no two n_ini differ in W2² at generation {last}, for either λ", apart),
        all_within(
            f"W2² at generation {last} is what theory.limit finds, whatever n_ini, to {100 * NEAR:g} %",
            off,
            NEAR,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main(__file__, SWEEPS, find))
