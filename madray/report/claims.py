"""Claims: a sentence about the results, whether the numbers bear it out, and which numbers do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from madray.report.writing import to_markdown


@dataclass(frozen=True)
class Claim:
    """A sentence that numbers can contradict.

    Attributes:
        text: the sentence.
        holds: whether the numbers bear it out; None where they do not decide it.
        evidence: which numbers, and how sure they are.
    """

    text: str
    holds: bool | None
    evidence: str


VERDICTS = {True: "yes", False: "**no**", None: "not decided"}
"""What stands for `Claim.holds` on a page."""


def claims_to_markdown(claims: Sequence[Claim]) -> str:
    """A table with a line for each claim.

    >>> print(claims_to_markdown([Claim("W2² falls with n", True, "slope −1.00")]), end="")
    | holds | claim | evidence |
    | --- | --- | --- |
    | yes | W2² falls with n | slope −1.00 |
    """
    lines = [[VERDICTS[claim.holds], claim.text, claim.evidence] for claim in claims]
    return to_markdown(["holds", "claim", "evidence"], lines)
