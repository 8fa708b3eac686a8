"""Figures 6, 7 and 27: diffusion models on MNIST that train on each other's samples alone, with bias.

madray sweep sweeps/fig06_mnist.yaml --data DATA
python analysis/fig06_mnist.py            # writes analysis/results/fig06_mnist*

Or smaller, --sweep fig06_mnist_medium or fig06_mnist_small, after that sweep.
"""

from __future__ import annotations

import sys

from madray.errors import BadInput
from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.generations import NOTE, by_generation, for_each, lines_by_bias, listed, some_of
from madray.report.grids import sample_grids
from madray.report.per_seed import PerSeed, all_above, how_sure
from madray.report.script import Findings, MorePicture, run_on
from madray.report.tsne import tsne_map
from madray.results import SweepResults

PANELS = ("fid", "precision", "recall", "label_accuracy")

HELD = 0.05
"""Precision holds that falls by less than this."""

_NOTE = (
    " Recall falls the faster, the less is left of it: its mean over generations 2 and later, as a share of "
    "generation 1's."
)


def find(sweep: SweepResults) -> Findings:
    """Curves by generation for each λ; a t-SNE map and grids of samples for the largest λ below 1."""
    chains = Chains.read(sweep)
    bias, shown = biased(chains)[0], some_of(chains.last)
    tsne, grids = tsne_map(sweep, {"lambda": bias}, shown), sample_grids(sweep, {"lambda": bias}, shown)
    return Findings(
        title="Figure 6: quality and diversity of diffusion models on each other's samples, by sampling bias",
        picture=by_generation(chains, chains.told(PANELS), lines_by_bias(chains)),
        table=chains.with_floors(chains.told([*PANELS, "variance"])),
        claims=claims(chains),
        note=NOTE + _NOTE,
        more={
            "tsne": MorePicture(f"Figure 7: t-SNE of real and synthetic samples, λ = {bias:g}", tsne),
            "grids": MorePicture(f"Figure 27: random samples by generation, λ = {bias:g}", grids),
        },
        how_sure=how_sure(chains.seeds),
    )


def biased(chains: Chains) -> list[float]:
    """All λ < 1, the largest first. Raises: BadInput, if there are none, or none to compare them with."""
    below = [bias for bias in chains.biases if bias < 1]
    if not below or 1.0 not in chains.biases:
        given = ", ".join(f"{bias:g}" for bias in chains.biases)
        raise BadInput(f"{chains.name}: expected λ = 1 and others below it, got {given}")
    return below


def claims(chains: Chains) -> list[Claim]:
    """What sampling bias does to quality and diversity."""
    below, last = biased(chains), chains.last

    def precision_lost(bias: float) -> PerSeed:
        point = {"lambda": bias}
        return chains.number("precision", point, 1) - chains.number("precision", point, last)

    told = f"λ = {listed(below)}"
    recall_left = {bias: left(chains, "recall", bias) for bias in chains.biases}
    return [
        all_above(f"λ = 1: precision falls from generation 1 to {last}", [precision_lost(1.0)]),
        all_above(
            f"{told}: precision holds, generation {last} has at most {HELD:g} less than generation 1",
            [precision_lost(bias).below(HELD) for bias in below],
        ),
        all_above(
            f"{told}: precision loses less than with λ = 1",
            [precision_lost(1.0) - precision_lost(bias) for bias in below],
        ),
        all_above(
            f"{told}: recall falls faster than with λ = 1",
            [recall_left[1.0] - recall_left[bias] for bias in below],
        ),
        all_above(
            f"FID rises from generation 1 to {last}, {for_each(chains.biases)}",
            [chains.change("fid", {"lambda": bias}) for bias in chains.biases],
        ),
    ]


def left(chains: Chains, name: str, bias: float) -> PerSeed:
    """The mean of a number over the generations after the first, as a share of the first one's."""
    first, *later = (chains.number(name, {"lambda": bias}, t) for t in range(1, chains.last + 1))
    return (1 / len(later)) * sum(later[1:], start=later[0]) / first


if __name__ == "__main__":
    sys.exit(run_on(__file__, find))
