"""Figures 14 and 15: mixtures of Gaussians that train each other lose their modes, and which numbers see it.

madray sweep sweeps/fig14.yaml
python analysis/fig14.py            # writes analysis/results/fig14.*
"""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from scipy.stats import multivariate_normal

from madray.errors import BadInput
from madray.generators.gmm import GMMGenerator
from madray.generators.protocol import Generator
from madray.references.analytic import GMM25Reference
from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.curves import SIGMAS, band, horizontal
from madray.report.per_seed import PerSeed, all_above, how_sure
from madray.report.script import Findings, run_on
from madray.report.style import BLACK, GREY, new_figure
from madray.results import SweepResults
from madray.running import run_chain
from madray.spec.reading import parse_sweep
from madray.theory.estimate import Array

SHOWN = (1, 200, 2000)
"""Generations whose densities are drawn, as in the paper, as far as there are so many."""

TOLD = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
"""Generations that the table has."""

PANELS = {
    "modes": "modes covered",
    "variance": "variance",
    "modal_variance": "average modal variance",
    "recall": "recall",
}

BLUR = 0.1
"""Standard deviation of the Gaussian that blurs densities in the picture: what is a point by now is seen."""

GRID = np.linspace(-5.5, 5.5, 221)

NOTE = (
    "Variances are traces of covariances. A mode is covered where one of the samples lies within four of its "
    "standard deviations; its variance is that of all samples that are nearest to it. Rank correlations are "
    "Spearman's, over the generations of a chain until its recall first is 0: from there on recall tells "
    f"nothing. In the picture densities are those of the first seed, blurred by N(0, {BLUR:g}²); grey lines "
    f"are seeds, bands {SIGMAS:g} standard errors over them; dashed is the reference in closed form, and for "
    "recall what real samples have against others."
)


def find(sweep: SweepResults) -> Findings:
    """Densities of some generations, and by generation four numbers that may see modes go."""
    chains, reference = Chains.read(sweep), _reference(sweep)
    table = chains.over_seeds(list(PANELS))
    told = table["generation"].isin([*TOLD, chains.last])
    return Findings(
        title="Figures 14 and 15: the modes of mixtures that train each other, and which numbers see them go",
        picture=_picture(sweep, chains, reference),
        table=table[told].drop(columns="lambda"),
        claims=claims(chains),
        questions=questions(chains),
        note=NOTE,
        how_sure=how_sure(chains.seeds),
    )


def claims(chains: Chains) -> list[Claim]:
    """That modes go, and that recall and the modal variance go with each other, and variance with neither."""
    shown = [t for t in SHOWN if t <= chains.last]
    ends = [*shown, *[chains.last] * (shown[-1] < chains.last)]
    lost = [
        chains.number("modes", {}, before) - chains.number("modes", {}, after)
        for before, after in pairwise(ends)
    ]
    follows = correlation(chains, "recall", "modal_variance") - correlation(chains, "recall", "variance")
    left = left_at_half(chains, "variance") - left_at_half(chains, "modal_variance")
    return [
        all_above(f"modes are lost, and ever more of them: at generations {', '.join(map(str, ends))}", lost),
        all_above(
            "recall ranks generations as the average modal variance does, more nearly than as variance does",
            [follows],
        ),
        all_above(
            "when recall has fallen to half of what it was, more is left of variance than of average modal "
            "variance",
            [left],
        ),
    ]


def questions(chains: Chains) -> list[Claim]:
    """Whether what sees modes go in the paper does so here."""
    by_variance = correlation(chains, "modes", "variance")
    return [
        all_above(
            f"{PANELS[name]} ranks generations as the number of modes does, more nearly than variance does",
            [correlation(chains, "modes", name) - by_variance],
        )
        for name in ("modal_variance", "recall")
    ]


def correlation(chains: Chains, one: str, other: str) -> PerSeed:
    """Spearman's rank correlation of two numbers over the generations of each chain until its recall is 0."""
    found = []
    for _, chain in chains.table.groupby("seed"):
        rows = chain.sort_values("generation")
        gone = (rows["recall"] == 0).to_numpy()
        end = int(gone.argmax()) + 1 if gone.any() else len(rows)
        ranks = rows[[one, other]][:end].rank()
        found.append(ranks[one].corr(ranks[other]))
    return PerSeed(np.array(found), noise=float("nan"))


def left_at_half(chains: Chains, name: str) -> PerSeed:
    """What is left of a number, as a share of that of generation 1, when half of each chain's recall is gone.

    Raises: BadInput, if a chain ends before.
    """
    found = []
    for seed, chain in chains.table.groupby("seed"):
        rows = chain.set_index("generation").sort_index()
        half = rows.index[rows["recall"] <= rows["recall"].loc[1] / 2]
        if not len(half):
            raise BadInput(
                f"{chains.name}: expected recall to fall to half of what it was, got "
                f"{rows['recall'].min():.2g} at least for seed {seed}; try more generations"
            )
        found.append(rows[name].loc[half[0]] / rows[name].loc[1])
    return PerSeed(np.array(found), noise=float("nan"))


def _picture(sweep: SweepResults, chains: Chains, reference: GMM25Reference) -> Figure:
    figure = new_figure(height=4.2)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.1, 1])[:, 0]
    _densities(above, sweep, reference, [t for t in SHOWN if t <= chains.last])
    real = {
        "modes": float(len(reference.means)),
        "variance": float(np.trace(np.cov(reference.means.T, bias=True))) + 2 * reference.std**2,
        "modal_variance": 2 * reference.std**2,
        "recall": chains.floors["recall"],
    }
    for axes, (name, title) in zip(below.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        _curves(axes, chains, name)
        horizontal(axes, real[name], "real" if name == "modes" else "")
        axes.set(xscale="log", xlabel="generation $t$", title=title, ylim=(0, None))
    return figure


def _densities(figure: SubFigure, sweep: SweepResults, reference: GMM25Reference, shown: list[int]) -> None:
    k = len(reference.means)
    widths = np.broadcast_to(reference.std**2 * np.eye(2), (k, 2, 2))
    densities = {"reference": _blurred(np.full(k, 1 / k), reference.means, widths)}
    for t in shown:
        model = _model(sweep, t)
        densities[f"generation {t:,}"] = _blurred(model.weights, model.means, model.covariances)
    panels = figure.subplots(1, len(densities), sharex=True, sharey=True)
    for axes, (title, density) in zip(panels, densities.items(), strict=True):
        # √p, each panel by itself: the fewer modes are left, the higher they are.
        axes.pcolormesh(GRID, GRID, np.sqrt(density).T, cmap=matplotlib.colormaps["viridis"], rasterized=True)
        axes.set(title=title, aspect="equal", xlabel="$x_1$")
        axes.grid(visible=False)
    panels[0].set_ylabel("$x_2$")


def _blurred(weights: Array, means: Array, covariances: Array) -> Array:
    """The density of a mixture, convolved with N(0, `BLUR`²), on the grid; shape (x_1, x_2)."""
    points = np.stack(np.meshgrid(GRID, GRID, indexing="ij"), axis=-1)
    density: Array = sum(
        weight * multivariate_normal(mean, covariance + BLUR**2 * np.eye(2)).pdf(points)
        for weight, mean, covariance in zip(weights, means, covariances, strict=True)
    )
    return density


def _curves(axes: Axes, chains: Chains, name: str) -> None:
    for _, chain in chains.table.groupby("seed"):
        rows = chain.sort_values("generation")
        axes.plot(rows["generation"], rows[name], color=GREY, alpha=0.15, linewidth=0.4, rasterized=True)
    band(axes, *chains.curve(name, {}), BLACK)


def _model(sweep: SweepResults, t: int) -> GMMGenerator:
    model = sweep.generation(None, t).model() if t > 1 else _first(sweep)
    if not isinstance(model, GMMGenerator):
        raise BadInput(f"{sweep.name}: expected mixtures, got {type(model).__name__}; try sweeps/fig14.yaml")
    return model


def _first(sweep: SweepResults) -> Generator:
    """The model of generation 1, which `keep` lets go, made again: it is the same, and costs little."""
    constants = parse_sweep(sweep.record.text, name=sweep.name).sweep.constants
    chain = {**constants, "generations": 1, "metrics": ["variance"]}
    with tempfile.TemporaryDirectory() as folder:
        made = run_chain(chain, seed=sweep.record.chains[0].seed, store=folder)
        return made.generation(None, 1).model()


def _reference(sweep: SweepResults) -> GMM25Reference:
    settings = sweep.generation(None, 1).cell.chain.reference
    if settings.kind != "gmm25":
        raise BadInput(f"{sweep.name}: expected the reference gmm25, got {settings.kind}")
    return GMM25Reference(settings)


if __name__ == "__main__":
    sys.exit(run_on(__file__, find))
