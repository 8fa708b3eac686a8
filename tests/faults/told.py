"""The outcome of strikes as a table of plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isnan

from faults.strikes import Verdict

_WIDTHS = {"#": 3, "kind": 14, "at": 7, "while": 22, "struck": 40, "exit": 4, "runs": 4, "time": 6}


def heading() -> str:
    """The names of the columns."""
    return _line(*_WIDTHS, "verdict")


def line(verdict: Verdict) -> str:
    """One strike, and a line for each thing that does not hold."""
    moment = "" if isnan(verdict.moment_seconds) else f"{verdict.moment_seconds:.1f} s"
    code = "" if verdict.exit_code is None else str(verdict.exit_code)
    told = _line(
        str(verdict.planned.number),
        verdict.planned.kind,
        moment,
        verdict.going_on,
        verdict.what,
        code,
        str(verdict.runs),
        f"{verdict.seconds:.0f} s",
        verdict.outcome,
    )
    return "\n".join([told, *(f"    {problem}" for problem in verdict.problems)])


def counts(verdicts: Sequence[Verdict]) -> str:
    """How often each kind came to what, in a line."""
    found = Counter((verdict.planned.kind, verdict.outcome) for verdict in verdicts)
    told = [f"{kind}: {n} {outcome}" for (kind, outcome), n in sorted(found.items())]
    whole = sum(verdict.outcome == "whole" for verdict in verdicts)
    over = sum(verdict.going_on == "over" for verdict in verdicts)
    return f"{len(verdicts)} strikes, {whole} whole, {over} after the run was over ({'; '.join(told)})"


def _line(*cells: str) -> str:
    *first, last = cells
    padded = [f"{cell:<{width}}" for cell, width in zip(first, _WIDTHS.values(), strict=True)]
    return "  ".join([*padded, last])
