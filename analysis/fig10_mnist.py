"""Figure 10, right: diffusion models on MNIST with fresh real data forget their first training set.

madray sweep sweeps/fig10_mnist.yaml --data DATA
python analysis/fig10_mnist.py            # writes analysis/results/fig10_mnist*

Or smaller, --sweep fig10_mnist_medium or fig10_mnist_small, after that sweep.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import combinations, cycle

from madray.errors import BadInput
from madray.report.chains import Chains
from madray.report.claims import Claim
from madray.report.generations import NOTE, Line, by_generation
from madray.report.per_seed import PerSeed, all_above, how_sure, none_differs
from madray.report.script import Findings, run_on
from madray.report.style import looks
from madray.results import SweepResults

PANELS = ("fid", "precision", "recall", "label_accuracy")

DASHES = ("-", ":", "--", "-.")
"""Of the lines of each λ, from 1 down."""

LEFT = 0.25
"""How much of a difference between first models may be left in the end."""


def find(sweep: SweepResults) -> Findings:
    """Curves by generation for each n_ini and λ."""
    chains = Chains.read(sweep)
    if len(chains.values("n_ini")) < 2:
        raise BadInput(f"{chains.name}: expected several n_ini, got {chains.values('n_ini')[0]} alone")
    return Findings(
        title="Figure 10, right: fresh-data loops of diffusion models by the size of their first set",
        picture=by_generation(chains, chains.told(PANELS), lines(chains)),
        table=chains.with_floors(chains.told([*PANELS, "variance"])),
        claims=claims(chains),
        questions=questions(chains),
        note=NOTE,
        how_sure=how_sure(chains.seeds),
    )


def lines(chains: Chains) -> list[Line]:
    """A colour for each n_ini, and a dash for each λ."""
    sizes, biases = chains.values("n_ini"), chains.biases
    return [
        Line(
            f"$n_{{ini}}$ = {n_ini:,}" + (f", λ = {bias:g}" if len(biases) > 1 else ""),
            {"n_ini": n_ini, "lambda": bias},
            replace(look, line=dash),
        )
        for bias, dash in zip(biases, cycle(DASHES), strict=False)
        for n_ini, look in zip(sizes, looks(len(sizes)), strict=True)
    ]


def claims(chains: Chains) -> list[Claim]:
    """First models differ, and what they made different is gone in the end."""
    return [claim for bias in chains.biases for claim in _claims(chains, bias)]


def _claims(chains: Chains, bias: float) -> list[Claim]:
    [fewest, *_, most] = chains.values("n_ini")

    def apart(t: int) -> PerSeed:
        few, many = ({"n_ini": n_ini, "lambda": bias} for n_ini in (fewest, most))
        return chains.number("fid", few, t) - chains.number("fid", many, t)

    begun, ended = apart(1), apart(chains.last)
    return [
        all_above(
            f"λ = {bias:g}: first models differ: FID of generation 1 is larger with n_ini = {fewest:,} "
            f"than with {most:,}",
            [begun],
        ),
        all_above(
            f"λ = {bias:g}: at generation {chains.last} at most {LEFT:g} of that difference is left, "
            "to either side",
            [LEFT * begun - ended, LEFT * begun + ended],
        ),
    ]


def questions(chains: Chains) -> list[Claim]:
    """Whether anything is left to be seen of the first model; what is not seen may be there, but small."""
    return [_question(chains, bias) for bias in chains.biases]


def _question(chains: Chains, bias: float) -> Claim:
    end: list[PerSeed] = [
        chains.number("fid", {"n_ini": n_ini, "lambda": bias}, chains.last)
        for n_ini in chains.values("n_ini")
    ]
    differences = [one - other for one, other in combinations(end, 2)]
    text = f"λ = {bias:g}: no difference in FID between two n_ini is seen at generation {chains.last}"
    return none_differs(text, differences)


if __name__ == "__main__":
    sys.exit(run_on(__file__, find))
