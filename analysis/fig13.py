"""Figure 13: Wasserstein GANs on MNIST that train on each other's samples alone, without bias.

madray sweep sweeps/fig13.yaml --data DATA
python analysis/fig13.py            # writes analysis/results/fig13*

Or on two cores, --sweep fig13_small, after that sweep.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
from scipy.stats import spearmanr
from scipy.stats import t as student

from madray.metrics import precision_recall
from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.generations import NOTE, Line, by_generation, some_of
from madray.report.grids import sample_grids
from madray.report.per_seed import PerSeed, all_above, how_sure
from madray.report.script import Findings, MorePicture, run_on
from madray.report.style import BLACK
from madray.results import SweepResults

NUMBERS = ("fid", "precision", "precision_of_pixels", "recall")

PIXELS = 2000
"""Of how many images the pixels are compared, at most."""

MONOTONE = 0.8
"""From which rank correlation on, up or down, a number counts as going one way."""


def find(sweep: SweepResults) -> Findings:
    """Curves by generation, and grids of samples."""
    chains = with_pixels(Chains.read(sweep), sweep)
    grids = sample_grids(sweep, {}, some_of(chains.last))
    return Findings(
        title="Figure 13: quality and diversity of WGANs that see each other's samples alone",
        picture=by_generation(chains, NUMBERS, [Line("λ = 1", {}, BLACK)]),
        table=chains.over_seeds(NUMBERS),
        claims=claims(chains),
        questions=questions(chains),
        note=f"{NOTE} Of which features its precision is, the paper does not say: `precision` is of LeNet's, "
        f"as fid is, `precision_of_pixels` of the pixels of {min(PIXELS, chains.n_eval)} images.",
        more={"grids": MorePicture("Random samples by generation, λ = 1", grids)},
        how_sure=how_sure(chains.seeds),
    )


def with_pixels(chains: Chains, sweep: SweepResults) -> Chains:
    """The same chains, with the precision that images have when pixels are their features."""
    n = min(PIXELS, chains.n_eval)
    real, other = np.split(sweep.real({}, 2 * n).flat(), 2)

    def precision(t: int, seed: int) -> float:
        made = sweep.generation({}, t, seed=seed).measured().head(n)
        return precision_recall(real=real, generated=made.flat()).precision

    found = [precision(t, seed) for t, seed in chains.table[["generation", "seed"]].itertuples(index=False)]
    floor = precision_recall(real=real, generated=other).precision
    return replace(
        chains,
        table=chains.table.assign(precision_of_pixels=found),
        floors={**chains.floors, "precision_of_pixels": floor},
    )


def claims(chains: Chains) -> list[Claim]:
    """Quality and diversity fall, generation by generation."""
    return [_rises(chains, "fid"), _falls(chains, "precision_of_pixels"), _falls(chains, "recall")]


def questions(chains: Chains) -> list[Claim]:
    """Whether precision falls by the features of LeNet too, and whether all of it comes to an end."""
    middle = (1 + chains.last) // 2

    def saturates(name: str) -> Claim:
        first, half, last = (chains.number(name, {}, t) for t in (1, middle, chains.last))
        text = f"{name} goes less far from generation {middle} to {chains.last} than from 1 to {middle}"
        return all_above(text, [_size(half - first) - _size(last - half)])

    return [_falls(chains, "precision"), *map(saturates, NUMBERS)]


def rank_correlation(chains: Chains, name: str) -> PerSeed:
    """Spearman's, of a number with the generation: 1 where it rises in every generation, −1 where it falls.

    Its noise is the standard deviation that it has in a random order, 1/√(T − 1). NaN of a number that never
    changes, which goes no way.
    """
    by_seed = np.stack([chains.number(name, {}, t).values for t in range(1, chains.last + 1)], axis=1)
    t = np.arange(chains.last)
    found = [spearmanr(t, values).statistic if np.ptp(values) else math.nan for values in by_seed]
    return PerSeed(np.array(found), (chains.last - 1) ** -0.5)


def _rises(chains: Chains, name: str) -> Claim:
    correlation = rank_correlation(chains, name)
    return _monotone(f"{name} rises: its rank correlation with t is above {MONOTONE:g}", correlation, 1)


def _falls(chains: Chains, name: str) -> Claim:
    correlation = rank_correlation(chains, name)
    return _monotone(f"{name} falls: its rank correlation with t is below −{MONOTONE:g}", correlation, -1)


def _monotone(text: str, correlation: PerSeed, sign: int) -> Claim:
    claim = all_above(text, [(sign * correlation).above(MONOTONE)])
    return replace(claim, evidence=f"{_interval(correlation)}; beyond {MONOTONE:g}, {claim.evidence}")


def _interval(correlation: PerSeed) -> str:
    """Its mean over seeds, and Student's interval around that, as far as correlations go."""
    seeds, mean = len(correlation.values), float(correlation.over_seeds.mean)
    if seeds == 1:
        return f"{mean:.3f} of one seed"
    reach = float(student.isf(0.025, seeds - 1) * correlation.over_seeds.standard_error)
    low, high = max(mean - reach, -1.0), min(mean + reach, 1.0)
    return f"{mean:.3f} over {seeds} seeds, 95 % interval {low:.3f} to {high:.3f}"


def _size(number: PerSeed) -> PerSeed:
    return PerSeed(np.abs(number.values), number.noise)


if __name__ == "__main__":
    sys.exit(run_on(__file__, find))
