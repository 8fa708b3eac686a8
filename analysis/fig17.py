"""Figure 17: normalizing flows that train each other on the Rosenbrock distribution, with and without bias.

madray sweep sweeps/fig17.yaml
python analysis/fig17.py            # samples every model, some minutes; writes analysis/results/fig17.*
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm

from madray.errors import BadInput
from madray.generators.flow import FlowGenerator
from madray.report.claims import Claim
from madray.report.comparing import all_above, less
from madray.report.curves import band, horizontal
from madray.report.measured import estimates, groups
from madray.report.script import Findings, run
from madray.report.style import looks, new_figure
from madray.results import SweepResults
from madray.results import open as open_store
from madray.samples import SampleSet
from madray.spec.theory import STANDARD_ERROR
from madray.theory import Estimate
from madray.theory.estimate import Array

SWEEP = "fig17"

TAILS = (2.0, 3.0)
"""Where tails begin: |x₁| > 2 and |x₁| > 3, the two ends of the banana. x₁ of the reference is N(0, 1)."""

SAMPLES = 20_000
"""Of each model, whose share in the tails is taken for their mass."""

SHOWN = (1, 4, 8, 16)
"""Generations whose densities are drawn, as far as there are so many."""

X1, X2 = np.linspace(-3.5, 3.5, 281), np.linspace(-3, 10, 261)

NOTE = (
    f"Mass is the share of {SAMPLES:,} samples at the chain's λ, mean over seeds. Of the reference it is "
    + ", ".join(f"2Φ(−{end:g}) = {2 * norm.sf(end):.4g} for |x₁| > {end:g}" for end in TAILS)
    + ". Differences are taken seed by seed. In the picture, bands are two standard errors over seeds, and "
    "densities those of the first seed."
)


def find(sweep: SweepResults) -> Findings:
    """Densities of some generations, and by generation the mass in the reference's tails."""
    masses = tail_masses(sweep)
    table = over_seeds(masses)
    return Findings(
        title="Figure 17: the tails of flows that train each other",
        picture=_picture(sweep, table),
        table=table,
        claims=_claims(masses, table),
        questions=_questions(masses, table),
        note=NOTE,
    )


def tail_masses(sweep: SweepResults) -> pd.DataFrame:
    """A row per λ, generation and seed: the mass the model puts in each of the tails."""
    made = sweep.table()
    expected = sum(len(chain.rows) for chain in sweep.record.chains)
    if len(made) < expected:
        raise BadInput(
            f"{SWEEP}: expected all {expected} rows of the sweep, got {len(made)}; try madray resume {SWEEP}"
        )
    if made["seed"].nunique() < 2:
        raise BadInput(f"{SWEEP}: expected several seeds, got one; try --set seeds=3")
    rows = []
    for bias, t, seed in made[["lambda", "generation", "seed"]].itertuples(index=False):
        x1 = np.abs(sweep.generation({"lambda": bias}, t, seed=seed).sample(SAMPLES).values[:, 0])
        rows.append([bias, t, seed, *(float(np.mean(x1 > end)) for end in TAILS)])
    return pd.DataFrame(rows, columns=["lambda", "generation", "seed", *map(_mass, TAILS)])


def over_seeds(masses: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds by λ and generation, each followed by its standard error."""
    by_cell = masses.groupby(["lambda", "generation"])
    columns = {}
    for name in map(_mass, TAILS):
        columns[name] = by_cell[name].mean()
        columns[name + STANDARD_ERROR] = by_cell[name].sem()
    return pd.DataFrame(columns).reset_index().sort_values(["lambda", "generation"], ascending=[False, True])


def _mass(end: float) -> str:
    return f"mass_beyond_{end:g}"


def _claims(masses: pd.DataFrame, table: pd.DataFrame) -> list[Claim]:
    by_bias = _first_tail(masses, "lambda", masses["generation"] == table["generation"].max())
    biases = sorted(by_bias)
    lost = [_lost(table, bias) for bias in biases if bias < 1]
    faster = [
        all_above(
            f"the smaller λ, the less is left of that mass: λ = {lower:g} against λ = {higher:g}",
            _over_seeds(by_bias[higher] - by_bias[lower]),
        )
        for lower, higher in pairwise(biases)
    ]
    return lost + faster


def _questions(masses: pd.DataFrame, table: pd.DataFrame) -> list[Claim]:
    unbiased = _first_tail(masses, "generation", masses["lambda"] == 1)
    first, last = ((unbiased[t] - 2 * norm.sf(TAILS[0])) ** 2 for t in (min(unbiased), max(unbiased)))
    drift = f"λ = 1: that mass drifts, its squared error grows from generation 1 to {max(unbiased)}"
    return [_lost(table, 1.0), all_above(drift, _over_seeds(last - first))]


def _first_tail(masses: pd.DataFrame, by: str, rows: pd.Series[bool]) -> dict[Any, Array]:
    """The mass in the first of `TAILS` in these rows, for each value of a column: one number a seed."""
    pivot = masses[rows].pivot(index="seed", columns=by, values=_mass(TAILS[0]))
    return {value: pivot[value].to_numpy(dtype=float) for value in pivot.columns}


def _lost(table: pd.DataFrame, bias: float) -> Claim:
    last = table["generation"].max()
    one = table[(table["lambda"] == bias) & (table["generation"] == last)]
    closed = Estimate(np.array([2 * norm.sf(TAILS[0])]), np.zeros(1))
    return all_above(
        f"λ = {bias:g}: generation {last} has less mass beyond |x₁| = {TAILS[0]:g} than the reference",
        less(closed, estimates(one, _mass(TAILS[0]))),
    )


def _over_seeds(values: Array) -> Estimate[Array]:
    """The mean of one value a seed, shape (1,)."""
    return Estimate(values.mean(keepdims=True), values.std(ddof=1, keepdims=True) / len(values) ** 0.5)


def _picture(sweep: SweepResults, table: pd.DataFrame) -> Figure:
    figure = new_figure(height=6.2)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.25, 1])[:, 0]
    biases = sorted(table["lambda"].unique(), reverse=True)
    shown = [t for t in SHOWN if t <= table["generation"].max()]
    panels = above.subplots(len(biases), 1 + len(shown), sharex=True, sharey=True, squeeze=False)
    points = SampleSet(
        np.stack(np.meshgrid(X1, X2, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)
    )
    for line, bias in zip(panels, biases, strict=True):
        _density(line[0], _reference_density())
        line[0].set_ylabel(f"λ = {bias:g}\n$x_2$")
        for axes, t in zip(line[1:], shown, strict=True):
            _density(axes, np.exp(_model(sweep, bias, t).log_likelihood(points, bias=bias)))
    for axes, title in zip(panels[0], ["reference", *(f"generation {t}" for t in shown)], strict=True):
        axes.set_title(title)
    for axes in panels[-1]:
        axes.set_xlabel("$x_1$")
    _tails(below, table)
    return figure


def _model(sweep: SweepResults, bias: float, t: int) -> FlowGenerator:
    model = sweep.generation({"lambda": bias}, t).model()
    if not isinstance(model, FlowGenerator):
        raise BadInput(f"{SWEEP}: expected flows, got {type(model).__name__}; try sweeps/{SWEEP}.yaml")
    return model


def _reference_density() -> Array:
    x1, x2 = np.meshgrid(X1, X2, indexing="ij")
    density: Array = np.exp(-(x1**2) / 2 - (x2 - x1**2) ** 2) / (np.pi * np.sqrt(2))
    return density


def _density(axes: Axes, density: Array) -> None:
    """√p, the same colours in all panels, so that tails are seen; dashed where they begin."""
    axes.pcolormesh(
        X1,
        X2,
        np.sqrt(density.reshape(len(X1), len(X2))).T,
        vmin=0,
        vmax=np.sqrt(_reference_density().max()),
        cmap=matplotlib.colormaps["viridis"],
        rasterized=True,
    )
    axes.grid(visible=False)
    for end in (-TAILS[0], TAILS[0]):
        axes.axvline(end, color="white", linestyle="--", linewidth=0.6)


def _tails(figure: SubFigure, table: pd.DataFrame) -> None:
    panels = figure.subplots(1, len(TAILS))
    by_bias = groups(table, "lambda")
    for axes, end in zip(panels, TAILS, strict=True):
        for (bias, curve), look in zip(by_bias, looks(len(by_bias)), strict=True):
            t = curve["generation"].to_numpy(dtype=float)
            band(axes, t, estimates(curve, _mass(end)), look, f"λ = {bias:g}")
        horizontal(axes, 2 * norm.sf(end), f"reference: 2Φ(−{end:g})")
        axes.set(xlabel="generation $t$", ylabel=f"mass of $|x_1| > {end:g}$", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend()


if __name__ == "__main__":
    torch.set_num_threads(1)  # more only wait for each other in networks this small
    sys.exit(run(__file__, (SWEEP,), lambda store: find(open_store(store)[SWEEP])))
