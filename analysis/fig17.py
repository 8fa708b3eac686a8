"""Figure 17: normalizing flows that train each other on the Rosenbrock distribution, with and without bias.

madray sweep sweeps/fig17.yaml
python analysis/fig17.py            # samples every model, some minutes; writes analysis/results/fig17*
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm

from madray.errors import BadInput
from madray.generators.flow import FlowGenerator
from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.counted import above_by_counting, share, squared_error
from madray.report.curves import SIGMAS, band
from madray.report.per_seed import PerSeed, how_sure
from madray.report.script import Findings, run_on
from madray.report.style import GREY, looks, new_figure
from madray.results import SweepResults
from madray.samples import SampleSet
from madray.theory.estimate import Array

TAILS = (2.0, 3.0)
"""Where tails begin: |x₁| > 2 and |x₁| > 3, the two ends of the banana. x₁ of the reference is N(0, 1)."""

SAMPLES = 20_000
"""Of each model, whose share in the tails is taken for their mass."""

DOTS = 300
"""Samples that are drawn of each model."""

SHOWN = (1, 4, 8, 16)
"""Generations whose densities are drawn, as far as there are so many."""

HELD_OUT = "held_out_log_likelihood"
"""A metric that a sweep may have."""

X1, X2 = np.linspace(-3.5, 3.5, 281), np.linspace(-3, 10, 261)

NOTE = (
    f"Mass is the share of {SAMPLES:,} samples at the chain's λ, mean over seeds. Of the reference it is "
    + ", ".join(f"2Φ(−{end:g}) = {2 * norm.sf(end):.4g} for |x₁| > {end:g}" for end in TAILS)
    + ". What is compared is of one seed each time: one λ with another, whose chains begin with the same "
    "model and are sampled with the same random numbers; a chain's last generation with its first; or a "
    "chain with the reference. Standard errors in the table are those over seeds alone, too small where "
    f"hardly a sample is in the tail. In the picture bands are {SIGMAS:g} standard errors over seeds. "
    "Densities are those of the first seed's models at the chain's λ, not at λ = 1, and dots are "
    f"{DOTS} samples of the same; in the first column they are the reference's."
)

COUNTING = "No standard error is taken for less than what counting samples makes alone."
"""Of the rule that decides claims."""

NOTE_HELD_OUT = (
    f" {HELD_OUT} is the mean log p, in nats, that a flow at λ = 1 gives to the samples that were held out "
    "of its training set. From generation 2 on the fully synthetic loop takes these from the generation "
    "before, at the chain's λ: the number tells how well a flow fits those, not how near it is to the "
    "reference."
)


def find(sweep: SweepResults) -> Findings:
    """Densities and samples of some generations, and by generation the mass in the reference's tails.

    Raises: BadInput, before anything is sampled, if the sweep is not finished, is not of flows on the
        Rosenbrock distribution, or has no λ that says something.
    """
    chains = Chains.read(sweep)
    _check(sweep, chains)
    chains = with_masses(chains, sweep)
    names = [*map(_mass, TAILS), *[HELD_OUT] * (HELD_OUT in chains.table)]
    return Findings(
        title="Figure 17: the tails of flows that train each other",
        picture=_picture(sweep, chains),
        table=chains.over_seeds(names),
        claims=claims(chains),
        questions=questions(chains),
        note=NOTE + NOTE_HELD_OUT * (HELD_OUT in names),
        how_sure=f"{how_sure(chains.seeds)} {COUNTING}",
        per_seed=chains.table[["lambda", "generation", "seed", *names]],
    )


def _check(sweep: SweepResults, chains: Chains) -> None:
    if min(chains.biases) == 1 or 0 in chains.biases:
        told = ", ".join(f"{bias:g}" for bias in chains.biases)
        raise BadInput(
            f"{sweep.name}: expected a λ below 1, and none that is 0, got {told}; "
            "try --set 'grid.lambda=[1.0, 0.9]'"
        )
    for bias in chains.biases:
        chain = sweep.generation(_cell(sweep, bias), 1).cell.chain
        kinds = chain.generator.kind, chain.reference.kind
        if kinds != ("flow", "rosenbrock"):
            raise BadInput(
                f"{sweep.name}: expected generator flow and reference rosenbrock, got {' and '.join(kinds)}; "
                "try sweeps/fig17.yaml"
            )


def _cell(sweep: SweepResults, bias: float) -> Mapping[str, Any]:
    """Which cell has this λ: there is only one where the grid does not vary it."""
    return {"lambda": bias} if "lambda" in sweep.record.chains[0].point else {}


# Masses in the tails


def with_masses(chains: Chains, sweep: SweepResults) -> Chains:
    """The same chains, from λ = 1 down, with the mass that each model puts in each of the tails."""
    table = chains.table.sort_values(["lambda", "generation", "seed"], ascending=[False, True, True])
    shares = []
    for bias, t, seed in table[["lambda", "generation", "seed"]].itertuples(index=False):
        x1 = np.abs(sweep.generation(_cell(sweep, bias), t, seed=seed).sample(SAMPLES).values[:, 0])
        shares.append([float(np.mean(x1 > end)) for end in TAILS])
    masses = dict(zip(map(_mass, TAILS), np.array(shares).T, strict=True))
    return replace(chains, table=table.assign(**masses))


def mass(chains: Chains, bias: float, t: int, end: float) -> PerSeed:
    """The mass beyond |x₁| = end in generation t at λ."""
    return share(chains.number(_mass(end), {"lambda": bias}, t).values, SAMPLES)


def reference_mass(chains: Chains, end: float) -> PerSeed:
    """The same of the reference: 2Φ(−end) for each seed."""
    return share(np.full(chains.seeds, 2 * norm.sf(end)), SAMPLES)


def _mass(end: float) -> str:
    return f"mass_beyond_{end:g}"


# Claims and questions


def claims(chains: Chains) -> list[Claim]:
    """With bias the tails are lost, the more of it the faster."""
    faster = [
        above_by_counting(
            f"the smaller λ, the less is left of that mass: λ = {lower:g} against λ = {higher:g}",
            mass(chains, higher, chains.last, TAILS[0]) - mass(chains, lower, chains.last, TAILS[0]),
        )
        for higher, lower in pairwise(chains.biases)
    ]
    return [_lost(chains, bias) for bias in chains.biases[::-1] if bias < 1] + faster


def questions(chains: Chains) -> list[Claim]:
    """What becomes of the tails without bias; nothing is asked of a sweep that always has one."""
    if 1.0 not in chains.biases:
        return []
    near, far = TAILS
    first, last = ({end: mass(chains, 1.0, t, end) for end in TAILS} for t in (1, chains.last))
    before, after = (squared_error(masses[near], 2 * norm.sf(near)) for masses in (first, last))
    drift = f"λ = 1: that mass drifts, its squared error grows from generation 1 to {chains.last}"
    more = f"λ = 1: generation {chains.last} has more mass beyond |x₁| = {far:g} than"
    return [
        _lost(chains, 1.0),
        above_by_counting(drift, after - before),
        above_by_counting(f"{more} generation 1", last[far] - first[far]),
        above_by_counting(f"{more} the reference", last[far] - reference_mass(chains, far)),
    ]


def _lost(chains: Chains, bias: float) -> Claim:
    end, t = TAILS[0], chains.last
    text = f"λ = {bias:g}: generation {t} has less mass beyond |x₁| = {end:g} than the reference"
    return above_by_counting(text, reference_mass(chains, end) - mass(chains, bias, t, end))


# The picture


def _picture(sweep: SweepResults, chains: Chains) -> Figure:
    figure = new_figure(height=6.4)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.35, 1])[:, 0]
    _densities(above, sweep, chains)
    _tails(below, chains)
    return figure


def _densities(figure: SubFigure, sweep: SweepResults, chains: Chains) -> None:
    """A row for each λ: the reference, then generations; each a density, and samples on it."""
    shown = [t for t in SHOWN if t <= chains.last]
    panels = figure.subplots(len(chains.biases), 1 + len(shown), sharex=True, sharey=True, squeeze=False)
    rows = [[_reference_density(), *(_density(sweep, bias, t) for t in shown)] for bias in chains.biases]
    # √p, so that tails are seen, in the same colours everywhere.
    colours = PowerNorm(0.5, vmin=0, vmax=max(density.max() for row in rows for density in row))
    for line, row, bias in zip(panels, rows, chains.biases, strict=True):
        cell = _cell(sweep, bias)
        samples = [sweep.real(cell, DOTS), *(sweep.generation(cell, t).sample(DOTS) for t in shown)]
        for axes, density, dots in zip(line, row, samples, strict=True):
            drawn = _panel(axes, density, dots, colours)
        line[0].set_ylabel(f"λ = {bias:g}\n$x_2$")
    for axes, title in zip(panels[0], ["reference", *(f"generation {t}" for t in shown)], strict=True):
        axes.set_title(title)
    for axes in panels[-1]:
        axes.set_xlabel("$x_1$")
    figure.colorbar(drawn, ax=panels, label="density $p$ at λ, colours by $\\sqrt{p}$", aspect=35)


def _density(sweep: SweepResults, bias: float, t: int) -> Array:
    """Of the first seed's model at λ, shape (x_1, x_2)."""
    model = sweep.generation(_cell(sweep, bias), t).model()
    assert isinstance(model, FlowGenerator)  # as checked
    grid = np.stack(np.meshgrid(X1, X2, indexing="ij"), axis=-1)
    points = SampleSet(grid.reshape(-1, 2).astype(np.float32))
    return np.exp(model.log_likelihood(points, bias=bias)).reshape(grid.shape[:2])


def _reference_density() -> Array:
    x1, x2 = np.meshgrid(X1, X2, indexing="ij")
    density: Array = np.exp(-(x1**2) / 2 - (x2 - x1**2) ** 2) / (np.pi * np.sqrt(2))
    return density


def _panel(axes: Axes, density: Array, samples: SampleSet, colours: Normalize) -> QuadMesh:
    """A density, dashed where its tails begin, and samples as dots."""
    viridis = matplotlib.colormaps["viridis"]
    drawn = axes.pcolormesh(X1, X2, density.T, norm=colours, cmap=viridis, rasterized=True)
    axes.plot(*samples.values.T, ".", color="white", markersize=1.3, markeredgewidth=0, rasterized=True)
    axes.set(xlim=(X1[0], X1[-1]), ylim=(X2[0], X2[-1]))
    axes.grid(visible=False)
    for end in (-TAILS[0], TAILS[0]):
        axes.axvline(end, color="white", linestyle="--", linewidth=0.6)
    return drawn


def _tails(figure: SubFigure, chains: Chains) -> None:
    panels = figure.subplots(1, len(TAILS))
    # One look more than there are curves: the last is too light for lines.
    drawn = dict(zip(chains.biases, looks(len(chains.biases) + 1), strict=False))
    for axes, end in zip(panels, TAILS, strict=True):
        closed = 2 * norm.sf(end)
        axes.axhline(closed, color=GREY, linestyle="--", linewidth=0.9, label=f"reference: 2Φ(−{end:g})")
        for bias, look in drawn.items():
            band(axes, *chains.curve(_mass(end), {"lambda": bias}), look, f"λ = {bias:g}")
        axes.set(xlabel="generation $t$", ylabel=f"mass of $|x_1| > {end:g}$", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.06))


if __name__ == "__main__":
    torch.set_num_threads(1)  # more only wait for each other in networks this small
    sys.exit(run_on(__file__, find))
