"""What scripts that draw a figure share: sweeps in from a store; a picture, a small table and claims out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from madray.errors import MadrayError
from madray.report.claims import Claim, claims_to_markdown
from madray.report.comparing import ERROR_RATE, SURE
from madray.report.measured import read
from madray.report.style import house_style
from madray.report.writing import frame_to_markdown, to_csv, to_png

_HOW_SURE = (
    f"A difference counts from {SURE:g} standard errors on, which chance alone makes of one in "
    f"{round(1 / ERROR_RATE, -2):,.0f}. Standard errors of numbers that are compared are added, not their "
    f"squares: cells of one seed share random numbers."
)


@dataclass(frozen=True)
class Findings:
    """What a figure's script makes of its sweeps.

    Attributes:
        title: what the figure shows.
        picture: the figure itself.
        table: the numbers that matter, few enough to be read.
        claims: what has to hold.
        questions: what the paper says and the numbers need not bear out; the answer is told, whichever it is.
        note: what has to be known to read the numbers.
    """

    title: str
    picture: Figure
    table: pd.DataFrame
    claims: Sequence[Claim]
    questions: Sequence[Claim] = ()
    note: str = ""


def write(findings: Findings, folder: Path, name: str) -> None:
    """`<name>.png`, `<name>.csv` and `<name>.md` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(to_png(findings.picture))
    (folder / f"{name}.csv").write_bytes(to_csv(findings.table))
    (folder / f"{name}.md").write_text(to_page(findings, name), encoding="utf-8")


def to_page(findings: Findings, name: str) -> str:
    """The picture, the claims and the table on one page of Markdown."""
    parts = [f"# {findings.title}\n", f"![{findings.title}]({name}.png)\n"]
    parts += ["## Claims\n", f"{_HOW_SURE}\n", claims_to_markdown(findings.claims)]
    if findings.questions:
        parts += ["## Questions\n", claims_to_markdown(findings.questions)]
    parts.append("## Numbers\n")
    if findings.note:
        parts.append(f"{findings.note}\n")
    parts.append(frame_to_markdown(findings.table))
    return "\n".join(parts)


def main(
    script: str, sweeps: Sequence[str], find: Callable[..., Findings], arguments: Sequence[str] | None = None
) -> int:
    """Run a figure's script on the tables of its sweeps; see `run`.

    Args:
        find: gets each of the sweeps as `Measured`, in this order.
    """
    return run(script, sweeps, lambda store: find(*(read(store, sweep) for sweep in sweeps)), arguments)


def run(
    script: str,
    sweeps: Sequence[str],
    find_in: Callable[[str], Findings],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a figure's script: find in the store, write what was found beside the script, print the claims.

    Args:
        script: the script's path; its name without ending is the figure's, `results` beside it the folder.
        sweeps: names of the sweeps it reads.
        find_in: gets the store's folder or URI.
        arguments: of the command line; those of this process where None.

    Returns: the exit code: 0; 1 if a claim does not hold; 2 if the sweeps cannot be used.
    """
    name, beside = Path(script).stem, Path(script).parent / "results"
    parser = argparse.ArgumentParser(description=f"Draws {name} from the sweeps {', '.join(sweeps)}.")
    parser.add_argument(
        "--store", default=os.environ.get("MADRAY_STORE", "madray-store"), help="where they are"
    )
    parser.add_argument("--results", type=Path, default=beside, help="where picture, table and claims go")
    options = parser.parse_args(arguments)
    try:
        with house_style():
            findings = find_in(options.store)
            write(findings, options.results, name)
    except MadrayError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    for claim in findings.claims:
        print(f"{'holds' if claim.holds else 'FAILS'}: {claim.text} ({claim.evidence})")
    for question in findings.questions:
        print(f"{'yes' if question.holds else 'no'}: {question.text} ({question.evidence})")
    print(f"written: {options.results / name}.png, .csv, .md")
    return 0 if all(claim.holds for claim in findings.claims) else 1
