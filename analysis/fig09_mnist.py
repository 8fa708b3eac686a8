"""Figure 9: diffusion models on MNIST that train on each other's samples beside all of the real data.

madray sweep sweeps/fig09_mnist.yaml --data DATA
python analysis/fig09_mnist.py            # writes analysis/results/fig09_mnist*

Or smaller, --sweep fig09_mnist_medium or fig09_mnist_small, after that sweep.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.generations import NOTE, Line, by_generation, for_each, lines_by_bias
from madray.report.per_seed import PerSeed, all_above, how_sure
from madray.report.script import Findings, run_on
from madray.results import SweepResults

PANELS = ("fid", "precision", "recall", "label_accuracy")

AUGMENTED, ALONE = {"loop": "synthetic_augmentation"}, {"loop": "fully_synthetic"}


def find(sweep: SweepResults) -> Findings:
    """Curves by generation for each λ, and dotted those of the loop without real data."""
    chains = Chains.read(sweep)
    return Findings(
        title="Figure 9: diffusion models with the first real data kept in every training set, and without",
        picture=by_generation(chains, chains.told(PANELS), _lines(chains)),
        table=chains.with_floors(chains.told([*PANELS, "variance"])),
        claims=claims(chains),
        note=NOTE,
        how_sure=how_sure(chains.seeds),
    )


def claims(chains: Chains) -> list[Claim]:
    """What the real data that stays does to the rise of FID."""

    def rise(loop: dict[str, str], bias: float) -> PerSeed:
        return chains.change("fid", {**loop, "lambda": bias})

    until = f"from generation 1 to {chains.last}"
    return [
        all_above(
            f"synthetic augmentation: FID rises {until}, {for_each(chains.biases)}",
            [rise(AUGMENTED, bias) for bias in chains.biases],
        ),
        all_above(
            f"it rises less {until} than in the fully synthetic loop, {for_each(chains.biases)}",
            [rise(ALONE, bias) - rise(AUGMENTED, bias) for bias in chains.biases],
        ),
    ]


def _lines(chains: Chains) -> list[Line]:
    with_real = lines_by_bias(chains, AUGMENTED)
    without = [
        replace(line, look=replace(line.look, line=":"), label="" if i else "without real data")
        for i, line in enumerate(lines_by_bias(chains, ALONE))
    ]
    return [*with_real, *without]


if __name__ == "__main__":
    sys.exit(run_on(__file__, find))
