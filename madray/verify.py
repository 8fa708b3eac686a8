"""Shows the oracle suite of the theory as it runs: what agrees, and which mistakes were noticed."""

from __future__ import annotations

import time

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from madray.theory.oracles import ERROR_RATE, SURE, Check, checks


def show_checks(console: Console, *, seed: int) -> bool:
    """Run all checks, show each when it is done, and tell whether all passed."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("claim, and a mistake that must be seen", overflow="fold", ratio=1)
    for heading in ("n", "|z|", "mistake", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    passed, comparisons = [], 0
    # A terminal shows the table as it grows; elsewhere it is written once, at the end.
    with Live(table, console=console, auto_refresh=False, transient=not console.is_terminal) as live:
        started = time.perf_counter()
        for check in checks(seed):
            passed.append(check.passed)
            comparisons += check.z.size
            table.add_row(*_line(check, time.perf_counter() - started))
            live.refresh()
            started = time.perf_counter()
    if not console.is_terminal:
        console.print(table)
    failed = len(passed) - sum(passed)
    chance = 1 - (1 - ERROR_RATE) ** comparisons
    console.print(
        f"{sum(passed)} passed, {failed} failed: n comparisons each, the largest |z| among them, and that of "
        f"the mistake. A check fails from |z| = {SURE:g} on; where all is right, {chance:.1%} of seeds fail.",
        markup=False,
    )
    return not failed


def _line(check: Check, seconds: float) -> tuple[str, ...]:
    verdict = "[green]passed[/]" if check.passed else "[red]failed[/]"
    claim = f"{check.claim}\n[dim]not: {check.wrong}[/]"
    numbers = (f"{check.z.size}", f"{abs(check.worst):.2f}", f"{abs(check.wrong_at):.0f}", f"{seconds:.1f}")
    return (verdict, claim, *numbers)
