"""Figures 14 and 15: mixtures of Gaussians that train each other lose their modes, and which numbers see it.

madray sweep sweeps/fig14.yaml
python analysis/fig14.py            # writes analysis/results/fig14.*
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from itertools import pairwise

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure, SubFigure
from scipy.stats import multivariate_normal

from madray.errors import BadInput
from madray.generators.gmm import GMMGenerator
from madray.generators.protocol import Generator
from madray.references.analytic import GMM25Reference
from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.correlations import FISHER, RankCorrelation
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

DENSITY = LogNorm(0.01, 20.0)
"""One scale for all densities: a point with all the weight, blurred, has 1/(2π `BLUR`²) = 16."""

RANKED = (
    ("recall", "modal_variance"),
    ("recall", "variance"),
    ("modes", "modal_variance"),
    ("modes", "recall"),
    ("modes", "variance"),
)
"""Numbers whose rank correlations claims and questions are about."""

NOTE = (
    "Variances are traces of covariances. A mode is covered where one of the samples lies within four of its "
    "standard deviations; its variance is that of all samples that are nearest to it. `recall_highest` is "
    "the highest mean over seeds in the generations since the row above: after its first 0 recall comes "
    "back, for some generations at a time, and rows between such times have 0. It comes back high where a "
    "mode is about to be lost: of its last samples, 5 or fewer, the 5th nearest neighbour is in another "
    "mode, and the ball that reaches there holds real samples of several. (In the chains of seeds 0 and 1, "
    "made again up to generation 500 with `keep: all`, recall after its first 0 was above 0.08 in 91 "
    "generations, all with such a mode, and above 0.04 in all 109 generations that had one.) In the picture "
    "densities are those of the first seed, "
    f"blurred by N(0, {BLUR:g}²), on one logarithmic scale; what is below {DENSITY.vmin:g} is drawn as that. "
    f"Grey lines are seeds, bands {SIGMAS:g} standard errors over them; dashed is the reference in closed "
    "form, and for recall what real samples have against others."
)


def find(sweep: SweepResults) -> Findings:
    """Densities of some generations, and by generation four numbers that may see modes go."""
    chains, reference = Chains.read(sweep), _reference(sweep)
    return Findings(
        title="Figures 14 and 15: the modes of mixtures that train each other, and which numbers see them go",
        picture=_picture(sweep, chains, reference),
        table=table(chains),
        claims=claims(chains),
        questions=questions(chains),
        note=f"{window(chains)} {NOTE}",
        how_sure=f"{how_sure(chains.seeds)} {FISHER}",
        per_seed=per_seed(chains),
    )


def table(chains: Chains) -> pd.DataFrame:
    """Some generations' means over seeds, and how high that of recall was since the one before."""
    means = chains.over_seeds(list(PANELS)).drop(columns="lambda")
    told = means["generation"].isin([*TOLD, chains.last])
    spans = told[::-1].cumsum()[::-1]  # the same number from after a told generation up to the next
    return means.assign(recall_highest=means.groupby(spans)["recall"].transform("max"))[told]


def per_seed(chains: Chains) -> pd.DataFrame:
    """A row a seed: what claims and questions were judged by."""
    ends = _ends(chains)
    columns = {"seed": ends["seed"], "ranked_until": ends["generation"], "modes_then": ends["modes"]}
    columns |= {f"{one}_with_{other}": correlation(chains, one, other).values for one, other in RANKED}
    columns |= {
        f"{name}_left_at_half_of_recall": left_at_half(chains, name).values
        for name in ("variance", "modal_variance")
    }
    shown = sorted({*(t for t in SHOWN if t < chains.last), chains.last})
    columns |= {f"{name}_{t}": chains.number(name, {}, t).values for t in shown for name in PANELS}
    return pd.DataFrame(columns)


def window(chains: Chains) -> str:
    """Over which generations numbers are ranked: two sentences."""
    ends = _ends(chains)
    until, modes = (_median_and_range(ends[name]) for name in ("generation", "modes"))
    return (
        "Rank correlations are Spearman's, over the generations of a chain until its recall first is 0, or "
        f"to its end: of {chains.last:,} generations the first {until}, in the median of chains and from the "
        f"least to the most. Then {modes} modes are left, and what comes after is not ranked."
    )


def claims(chains: Chains) -> list[Claim]:
    """That modes go, and that recall and the modal variance go with each other, and variance with neither."""
    shown = [t for t in SHOWN if t <= chains.last]
    ends = [*shown, *[chains.last] * (shown[-1] < chains.last)]
    lost = [
        chains.number("modes", {}, before) - chains.number("modes", {}, after)
        for before, after in pairwise(ends)
    ]
    left = left_at_half(chains, "variance") - left_at_half(chains, "modal_variance")
    return [
        all_above(f"modes are lost, and ever more of them: at generations {', '.join(map(str, ends))}", lost),
        _ranks_nearer(chains, "recall", "modal_variance", "variance"),
        all_above(
            "when recall has fallen to half of what it was, more is left of variance than of average modal "
            "variance",
            [left],
        ),
    ]


def questions(chains: Chains) -> list[Claim]:
    """Whether what sees modes go in the paper does so here, and whether recall does so best, as it says."""
    return [
        _ranks_nearer(chains, "modes", "modal_variance", "variance"),
        _ranks_nearer(chains, "modes", "recall", "variance"),
        _ranks_nearer(chains, "modes", "recall", "modal_variance"),
    ]


def _ranks_nearer(chains: Chains, seen: str, near: str, far: str) -> Claim:
    """That of two numbers the first goes more nearly with what is to be seen; with both correlations."""
    names = {**PANELS, "modes": "the number of modes"}
    nearer, further = correlation(chains, seen, near), correlation(chains, seen, far)
    text = f"{names[near]} ranks generations as {names[seen]} does, more nearly than {names[far]} does"
    claim = all_above(text, [nearer.per_seed - further.per_seed])
    told = f"rank correlations are {nearer.told()} of {names[near]}, {further.told()} of {names[far]}"
    return replace(claim, evidence=f"{told}; of their difference {claim.evidence}")


def correlation(chains: Chains, one: str, other: str) -> RankCorrelation:
    """Of two numbers over the generations of each chain until its recall is 0."""
    return RankCorrelation.of(
        (rows[one].to_numpy()[:end], rows[other].to_numpy()[:end])
        for (_, rows), end in zip(_by_seed(chains), _ends(chains)["generation"], strict=True)
    )


def _ends(chains: Chains) -> pd.DataFrame:
    """The row of each seed in which recall first is 0, or its last."""
    ends = []
    for _, rows in _by_seed(chains):
        gone = (rows["recall"] == 0).to_numpy()
        ends.append(rows.iloc[[int(gone.argmax()) if gone.any() else -1]])
    return pd.concat(ends, ignore_index=True)


def _by_seed(chains: Chains) -> list[tuple[int, pd.DataFrame]]:
    """The rows of each seed, by generation."""
    return list(chains.table.sort_values("generation").groupby("seed"))


def _median_and_range(values: pd.Series) -> str:
    return f"{values.median():g} ({values.min():g} to {values.max():g})"


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
    viridis = matplotlib.colormaps["viridis"]
    for axes, (title, density) in zip(panels, densities.items(), strict=True):
        seen = np.maximum(density, DENSITY.vmin).T
        mesh = axes.pcolormesh(GRID, GRID, seen, cmap=viridis, norm=DENSITY, rasterized=True)
        axes.set(title=title, aspect="equal", xlabel="$x_1$")
        axes.grid(visible=False)
    panels[0].set_ylabel("$x_2$")
    figure.colorbar(mesh, ax=list(panels), label="density", aspect=20, pad=0.01, shrink=0.75)


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
