"""Figure 30: Gaussian loops with fresh real data gain by sampling from more than the last model.

madray sweep sweeps/fig30.yaml
python analysis/fig30.py            # writes analysis/results/fig30.*
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

from madray.report.claims import Claim
from madray.report.comparing import all_above, combined, steps
from madray.report.curves import horizontal, points
from madray.report.measured import Measured, estimates
from madray.report.script import Findings, main
from madray.report.style import BLACK, new_figure
from madray.theory import Estimate
from madray.theory.estimate import Array

SWEEPS = ("fig30",)


def find(limits: Measured) -> Findings:
    """n_e / n_r by K."""
    table = limits.table.sort_values("memory")
    memory, ratio = table["memory"].to_numpy(dtype=float), estimates(table, "n_e_over_n_r")
    n_r, n_s = limits.constant("n_r"), limits.constant("n_s")
    return Findings(
        title="Figure 30: effective sample size by how many models the synthetic samples come from",
        picture=_picture(memory, ratio, (n_r + n_s) / n_r),
        table=table,
        claims=_claims(memory, ratio),
    )


def _picture(memory: Array, ratio: Estimate[Array], whole: float) -> Figure:
    figure = new_figure(height=2.8, width=3.6)
    axes = figure.subplots()
    points(axes, memory, ratio, BLACK)
    horizontal(axes, whole, "$n/n_r$: as if all samples were real")
    axes.set(xlabel="memory $K$", ylabel="$n_e / n_r$", xlim=(0, None), ylim=(0, 1.15 * whole))
    axes.set_xticks(memory, [f"{k:g}" for k in memory])
    return figure


def _claims(memory: Array, ratio: Estimate[Array]) -> list[Claim]:
    per_model = np.diff(np.eye(memory.size), axis=0) / np.diff(memory)[:, None]
    return [
        all_above("n_e/n_r grows with K", steps(ratio)),
        all_above(
            "the gain for each further model falls with K", combined(-np.diff(per_model, axis=0), ratio)
        ),
    ]


if __name__ == "__main__":
    sys.exit(main(__file__, SWEEPS, find))
