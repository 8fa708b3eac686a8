"""What scripts that draw a figure share: sweeps in from a store; a picture, a small table and claims out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from madray.errors import MadrayError
from madray.report.claims import Claim, claims_to_markdown
from madray.report.comparing import ERROR_RATE, SURE
from madray.report.measured import read
from madray.report.style import house_style
from madray.report.writing import frame_to_markdown, to_csv, to_png
from madray.results import SweepResults
from madray.results import open as open_store

_CLAIMED = {True: "holds", False: "FAILS", None: "not decided"}
_ANSWERED = {True: "yes", False: "no", None: "not decided"}

_SEEDS = "_seeds.csv"
"""How the name of the table of each seed's numbers ends."""

_HOW_SURE = (
    f"A difference counts from {SURE:g} standard errors on, which chance alone makes of one in "
    f"{round(1 / ERROR_RATE, -2):,.0f}. Standard errors of numbers that are compared are added, not their "
    f"squares: cells of one seed share random numbers."
)


@dataclass(frozen=True)
class MorePicture:
    """A picture beside the figure, and what it shows."""

    title: str
    picture: Figure


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
        more: further pictures; each is written beside the figure, under its name and what it is called here.
        how_sure: the rule by which claims are decided.
        per_seed: the numbers of each seed that claims were judged by; written as `<name>_seeds.csv`.
        summary: what was found, in a sentence; it stands under the title.
    """

    title: str
    picture: Figure
    table: pd.DataFrame
    claims: Sequence[Claim]
    questions: Sequence[Claim] = ()
    note: str = ""
    more: Mapping[str, MorePicture] = field(default_factory=dict)
    how_sure: str = _HOW_SURE
    per_seed: pd.DataFrame | None = None
    summary: str = ""


def write(findings: Findings, folder: Path, name: str) -> None:
    """Writes `<name>.png`, `.csv` and `.md` into a folder.

    Beside them, where there are such: `<name>_<more>.png` of further pictures, and `<name>_seeds.csv` of the
    numbers of each seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(to_png(findings.picture))
    for called, more in findings.more.items():
        (folder / f"{name}_{called}.png").write_bytes(to_png(more.picture))
    (folder / f"{name}.csv").write_bytes(to_csv(findings.table))
    if findings.per_seed is not None:
        (folder / f"{name}{_SEEDS}").write_bytes(to_csv(findings.per_seed))
    (folder / f"{name}.md").write_text(to_page(findings, name), encoding="utf-8")


def to_page(findings: Findings, name: str) -> str:
    """The pictures, the claims and the table on one page of Markdown."""
    parts = [f"# {findings.title}\n"]
    if findings.summary:
        parts.append(f"{findings.summary}\n")
    parts.append(f"![{findings.title}]({name}.png)\n")
    parts += ["## Claims\n", f"{findings.how_sure}\n", claims_to_markdown(findings.claims)]
    if findings.questions:
        parts += ["## Questions\n", claims_to_markdown(findings.questions)]
    for called, more in findings.more.items():
        parts += [f"## {more.title}\n", f"![{more.title}]({name}_{called}.png)\n"]
    parts.append("## Numbers\n")
    if findings.note:
        parts.append(f"{findings.note}\n")
    parts.append(frame_to_markdown(findings.table))
    if findings.per_seed is not None:
        beside = f"{name}{_SEEDS}"
        parts.append(f"The numbers of each seed, by which the claims were judged: [{beside}]({beside}).\n")
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

    Returns: the exit code: 0; 1 if a claim does not hold, or is not decided; 2 if the sweeps cannot be used.
    """
    name = Path(script).stem
    parser = _parser(script, f"Draws {name} from the sweeps {', '.join(sweeps)}.")
    return _conclude(name, name, find_in, parser.parse_args(arguments))


def run_on(
    script: str, find: Callable[[SweepResults], Findings], arguments: Sequence[str] | None = None
) -> int:
    """As `run`, of a figure that is drawn from one sweep of chains, be it a smaller one.

    It is the sweep of the script's name, or the one that `--sweep` names, which then is the figure's name.

    Args:
        find: gets the sweep, finished or not.
    """
    name = Path(script).stem
    parser = _parser(script, f"Draws {name} from a sweep.")
    parser.add_argument("--sweep", default=name, help=f"{name}, or a smaller one of its kind")
    options = parser.parse_args(arguments)
    return _conclude(name, options.sweep, lambda store: find(open_store(store)[options.sweep]), options)


def _parser(script: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--store", default=os.environ.get("MADRAY_STORE", "madray-store"), help="where sweeps are"
    )
    beside = Path(script).parent / "results"
    parser.add_argument("--results", type=Path, default=beside, help="where pictures, table and claims go")
    return parser


def _conclude(script: str, name: str, find_in: Callable[[str], Findings], options: argparse.Namespace) -> int:
    """Find, write under a name, print the claims; returns the exit code."""
    try:
        with house_style():
            findings = find_in(options.store)
            write(findings, options.results, name)
    except MadrayError as error:
        print(f"{script}: {error}", file=sys.stderr)
        return error.exit_code
    for claim in findings.claims:
        print(f"{_CLAIMED[claim.holds]}: {claim.text} ({claim.evidence})")
    for question in findings.questions:
        print(f"{_ANSWERED[question.holds]}: {question.text} ({question.evidence})")
    more = "".join(f" _{called}.png," for called in findings.more)
    seeds = "" if findings.per_seed is None else f" {_SEEDS},"
    print(f"written: {options.results / name}.png,{more} .csv,{seeds} .md")
    return 0 if all(claim.holds for claim in findings.claims) else 1
