"""Figures 4, 5 and 26: diffusion models on MNIST that train on each other's samples alone, without bias.

madray sweep sweeps/fig04_mnist.yaml --data DATA
python analysis/fig04_mnist.py            # writes analysis/results/fig04_mnist*

Or smaller, --sweep fig04_mnist_medium or fig04_mnist_small, after that sweep.
"""

from __future__ import annotations

import sys

from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.generations import NOTE, Line, by_generation, some_of
from madray.report.grids import sample_grids
from madray.report.per_seed import PerSeed, all_above, how_sure
from madray.report.script import Findings, MorePicture, run_on
from madray.report.style import BLACK
from madray.report.tsne import tsne_map
from madray.results import SweepResults

PANELS = ("fid", "precision", "recall", "label_accuracy")


def find(sweep: SweepResults) -> Findings:
    """Curves by generation, a t-SNE map and grids of samples."""
    chains = Chains.read(sweep)
    shown = some_of(chains.last)
    return Findings(
        title="Figure 4: quality and diversity of diffusion models that see each other's samples alone",
        picture=by_generation(chains, chains.told(PANELS), [Line("λ = 1", {}, BLACK)]),
        table=chains.with_floors(chains.told([*PANELS, "variance"])),
        claims=claims(chains),
        questions=questions(chains),
        note=NOTE,
        more={
            "tsne": MorePicture(
                "Figure 5: t-SNE of real and synthetic samples, λ = 1", tsne_map(sweep, {}, shown)
            ),
            "grids": MorePicture(
                "Figure 26: random samples by generation, λ = 1", sample_grids(sweep, {}, shown)
            ),
        },
        how_sure=how_sure(chains.seeds),
    )


def claims(chains: Chains) -> list[Claim]:
    """What λ = 1 does to quality and diversity, from the first generation to the last."""

    def lost(name: str) -> list[PerSeed]:
        return [chains.number(name, {}, 1) - chains.number(name, {}, chains.last)]

    until = f"from generation 1 to {chains.last}"
    return [
        all_above(f"FID rises {until}", [chains.change("fid", {})]),
        all_above(f"precision falls {until}", lost("precision")),
        all_above(f"recall falls {until}", lost("recall")),
    ]


def questions(chains: Chains) -> list[Claim]:
    """What the paper says of its samples: that they become illegible, and their modes merge."""
    lost = chains.number("label_accuracy", {}, 1) - chains.number("label_accuracy", {}, chains.last)
    text = f"fewer samples of generation {chains.last} are taken for their label than of generation 1"
    return [all_above(text, [lost])]


if __name__ == "__main__":
    sys.exit(run_on(__file__, find))
