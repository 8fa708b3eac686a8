"""Figure 16: diffusion models on MNIST that train on each other's samples alone, for many generations.

madray sweep sweeps/fig16_mnist.yaml --data DATA
python analysis/fig16_mnist.py            # writes analysis/results/fig16_mnist*

Or smaller, --sweep fig16_mnist_medium or fig16_mnist_small, after that sweep.
"""

from __future__ import annotations

import sys

from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.generations import NOTE, by_generation, lines_by_bias
from madray.report.per_seed import all_above, how_sure
from madray.report.script import Findings, run_on
from madray.results import SweepResults

PANELS = ("fid", "precision", "recall", "variance", "label_accuracy")

NEAR_ZERO = 0.05
"""Precision and recall that are near 0 are below this."""

VARIED = 0.1
"""A variance that is not near 0 is above this share of the real one."""

UNBIASED = {"lambda": 1.0}


def find(sweep: SweepResults) -> Findings:
    """Curves by generation for each λ."""
    chains = Chains.read(sweep)
    return Findings(
        title="Figure 16: quality, diversity and variance of diffusion models after many generations",
        picture=by_generation(chains, chains.told(PANELS), lines_by_bias(chains)),
        table=chains.with_floors(chains.told(PANELS)),
        claims=claims(chains),
        questions=questions(chains),
        note=NOTE,
        how_sure=how_sure(chains.seeds),
    )


def claims(chains: Chains) -> list[Claim]:
    """What is left of the real distribution in the last generation of the unbiased loop."""
    last, least = chains.last, VARIED * chains.floors["variance"]
    near_zero = {
        name: chains.number(name, UNBIASED, last).below(NEAR_ZERO) for name in ("precision", "recall")
    }
    return [
        all_above(f"λ = 1: precision of generation {last} is below {NEAR_ZERO:g}", [near_zero["precision"]]),
        all_above(f"λ = 1: recall of generation {last} is below {NEAR_ZERO:g}", [near_zero["recall"]]),
        all_above(
            f"λ = 1: variance of generation {last} is above {VARIED:g} of the real one",
            [chains.number("variance", UNBIASED, last).above(least)],
        ),
    ]


def questions(chains: Chains) -> list[Claim]:
    """Whether it ends alike with sampling bias."""
    last, below = chains.last, [bias for bias in chains.biases if bias < 1]
    return [
        all_above(
            f"λ = {bias:g}: {name} of generation {last} is below {NEAR_ZERO:g}",
            [chains.number(name, {"lambda": bias}, last).below(NEAR_ZERO)],
        )
        for bias in below
        for name in ("precision", "recall")
    ]


if __name__ == "__main__":
    sys.exit(run_on(__file__, find))
