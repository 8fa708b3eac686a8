"""Figure 13: Wasserstein GANs on MNIST that train on each other's samples alone, without bias.

madray sweep sweeps/fig13.yaml --data DATA
python analysis/fig13.py            # writes analysis/results/fig13*

Or on two cores, --sweep fig13_small, after that sweep.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from madray.metrics import precision_recall
from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.correlations import FISHER, RankCorrelation, beyond
from madray.report.generations import NOTE, Line, by_generation, some_of
from madray.report.grids import sample_grids
from madray.report.per_seed import PerSeed, all_above, how_sure
from madray.report.script import Findings, MorePicture, run_on
from madray.report.style import BLACK
from madray.results import SweepResults

OF_PIXELS = ("precision_of_pixels", "recall_of_pixels")

NUMBERS = ("fid", "precision", "recall", *OF_PIXELS)

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
        summary=of_precision(chains),
        picture=by_generation(chains, NUMBERS, [Line("λ = 1", {}, BLACK)]),
        table=chains.over_seeds(NUMBERS),
        claims=claims(chains),
        questions=questions(chains),
        note=f"{NOTE} Of which features its precision and recall are, the paper does not say: `precision` "
        f"and `recall` are of LeNet's, as fid is, those `_of_pixels` of {min(PIXELS, chains.n_eval)} images.",
        more={"grids": MorePicture("Random samples by generation, λ = 1", grids)},
        how_sure=f"{how_sure(chains.seeds)} {FISHER}",
        per_seed=chains.table[["seed", "generation", *NUMBERS]],
    )


def with_pixels(chains: Chains, sweep: SweepResults) -> Chains:
    """The same chains, with the precision and recall that images have when pixels are their features."""
    n = min(PIXELS, chains.n_eval)
    real, other = np.split(sweep.real({}, 2 * n).flat(), 2)

    def measure(t: int, seed: int) -> tuple[float, float]:
        made = sweep.generation({}, t, seed=seed).measured().head(n)
        found = precision_recall(real=real, generated=made.flat())
        return found.precision, found.recall

    rows = chains.table[["generation", "seed"]].itertuples(index=False)
    columns = zip(*(measure(t, seed) for t, seed in rows), strict=True)
    floor = precision_recall(real=real, generated=other)
    return replace(
        chains,
        table=chains.table.assign(**dict(zip(OF_PIXELS, columns, strict=True))),
        floors={**chains.floors, **dict(zip(OF_PIXELS, (floor.precision, floor.recall), strict=True))},
    )


def claims(chains: Chains) -> list[Claim]:
    """Quality and diversity fall, generation by generation: by the features of LeNet, and by pixels."""
    return [_rises(chains, "fid"), *(_falls(chains, name) for name in NUMBERS if name != "fid")]


def questions(chains: Chains) -> list[Claim]:
    """Whether all of it comes to an end: whether numbers change more slowly in the chain's second half."""
    middle = (1 + chains.last) // 2

    def saturates(name: str) -> Claim:
        first, half, last = (chains.number(name, {}, t) for t in (1, middle, chains.last))
        # A generation, not a half: the halves are of 9 and of 10 generations where there are 20.
        before = _size(1 / (middle - 1) * (half - first))
        after = _size(1 / (chains.last - middle) * (last - half))
        text = (
            f"{name} changes less a generation from {middle} to {chains.last} than from 1 to {middle}, on "
            "the average"
        )
        return all_above(text, [before - after])

    return [saturates(name) for name in NUMBERS] if middle > 1 else []


def of_precision(chains: Chains) -> str:
    """Whether precision falls, as in the paper, by LeNet's features, and whether by pixels: a sentence."""
    lenet, pixels = (_way(chains, name) for name in ("precision", "precision_of_pixels"))
    borne_out = {True: "is", False: "is not", None: "is not for sure"}[_falls(chains, "precision").holds]
    return (
        f"The fall of precision that the paper shows {borne_out} reproduced with LeNet's features, by which "
        f"precision {lenet}; by pixels it {pixels}."
    )


def rank_correlation(chains: Chains, name: str) -> RankCorrelation:
    """Of a number with the generation: 1 where it rises in every generation, −1 where it falls."""
    by_seed = np.stack([chains.number(name, {}, t).values for t in range(1, chains.last + 1)], axis=1)
    return RankCorrelation.of((np.arange(chains.last), values) for values in by_seed)


def _rises(chains: Chains, name: str) -> Claim:
    text = f"{name} rises: its rank correlation with t is above {MONOTONE:g}"
    return beyond(text, rank_correlation(chains, name), MONOTONE)


def _falls(chains: Chains, name: str) -> Claim:
    text = f"{name} falls: its rank correlation with t is below −{MONOTONE:g}"
    return beyond(text, rank_correlation(chains, name), -MONOTONE)


def _way(chains: Chains, name: str) -> str:
    """Which way a number goes, and from where to where."""
    ways = {"rises": _rises(chains, name).holds, "falls": _falls(chains, name).holds}
    way = next((way for way, holds in ways.items() if holds), "goes neither way for sure,")
    first, last = (chains.number(name, {}, t).values.mean() for t in (1, chains.last))
    return f"{way} from {first:.3g} to {last:.3g}"


def _size(number: PerSeed) -> PerSeed:
    return PerSeed(np.abs(number.values), number.noise)


if __name__ == "__main__":
    sys.exit(run_on(__file__, find))
