"""What a user sees: a live view on a terminal, lines elsewhere, and the tables at the end."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from madray.engine import events
from madray.engine.targets import Targets
from madray.engine.work import WorkPlan
from madray.ledger import Row, SweepRecord, finished
from madray.spec.reading import label, plain
from madray.spec.theory import STANDARD_ERROR

_SHOWN = 3
"""How many of the measured numbers the summary shows."""

_DECIMALS = 6
"""How many decimals a number has that is not written with a power of ten."""


class LineDisplay:
    """A line for each generation, or calculation, for logs and pipes."""

    def __init__(self, console: Console, targets: Targets) -> None:
        self._console = console
        self._names = targets.names()
        self._count = _Count(())

    def begin(self, plan: WorkPlan) -> None:
        self._count = _Count(target for work in plan.work for target in work.targets)

    def event(self, event: events.Event) -> None:
        match event:
            case events.GenerationMade() | events.CalculationMade():
                self._count.made(event.target, event.seconds)
                told = f"{self._names[event.target]} · {event.seconds:.1f} s"
                self._say(f"{self._count.done}/{self._count.total} {told}{self._count.left_told()}")
            case events.WorkFailed():
                self._say(f"failed: {failed_name(self._names, event.generation)}: {event.error}")
            case events.Note():
                self._say(event.text)

    def close(self) -> None:
        """Nothing is left open."""

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """Bars for the sweep and for what every worker does right now."""

    def __init__(self, console: Console, targets: Targets) -> None:
        self._console = console
        self._names = targets.names()
        self._count = _Count(())
        self._whole = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {targets.kind}s"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._now = Progress(
            TextColumn("  [dim]{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("[dim]{task.fields[phase]}"),
            console=console,
        )
        self._task = self._whole.add_task("sweep", total=self._count.total, left="")
        self._workers: dict[str, TaskID] = {}
        self._live = Live(Group(self._whole, self._now), console=console, refresh_per_second=4)

    def begin(self, plan: WorkPlan) -> None:
        self._count = _Count(target for work in plan.work for target in work.targets)
        self._whole.update(self._task, total=self._count.total, completed=0, description=plan.brief)
        self._live.start()

    def event(self, event: events.Event) -> None:
        match event:
            case events.Progress():
                if event.generation not in self._workers:
                    name = self._names.get(event.generation, "")
                    self._workers[event.generation] = self._now.add_task(name, total=1, phase="")
                self._now.update(
                    self._workers[event.generation],
                    total=event.total,
                    completed=event.done,
                    phase=event.phase,
                )
            case events.GenerationMade() | events.CalculationMade():
                self._count.made(event.target, event.seconds)
                self._forget(event.target)
                self._whole.update(self._task, completed=self._count.done, left=self._count.left_told())
            case events.WorkFailed():
                self._forget(event.generation)
                name = failed_name(self._names, event.generation)
                self._console.print(
                    f"[red]failed[/red]: {escape(name)}: {escape(event.error)}", highlight=False
                )
            case events.Note():
                self._console.print(event.text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last view standing."""
        for generation in list(self._workers):
            self._forget(generation)
        self._live.stop()

    def _forget(self, target: str) -> None:
        if target in self._workers:
            self._now.remove_task(self._workers.pop(target))


class _Count:
    """How many generations, or calculations, are made, and when the rest will be."""

    def __init__(self, targets: Iterable[str]) -> None:
        self._left = set(targets)
        self.total = len(self._left)
        self._begun: float | None = None

    @property
    def done(self) -> int:
        return self.total - len(self._left)

    def made(self, target: str, seconds: float) -> None:
        # Counted from the beginning of the first one, so that the start of Ray is left out.
        if self._begun is None:
            self._begun = time.monotonic() - seconds
        self._left.discard(target)

    def left_told(self) -> str:
        """` · about 3 min left`, once there is something to go by."""
        if self._begun is None or self.done < 2 or not self._left:
            return ""
        return f" · about {duration((time.monotonic() - self._begun) / self.done * len(self._left))} left"


def failed_name(names: Mapping[str, str], target: str) -> str:
    """What failed is called: a generation, a calculation, or what all are compared with."""
    return names.get(target, "the real side")


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(50), duration(200), duration(9000)
    ('50 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def gigabytes(size_bytes: float) -> str:
    """Bytes as people say them.

    >>> gigabytes(2.5e9), gigabytes(3.2e6)
    ('2.50 GB', '3.2 MB')
    """
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"


def summary(record: SweepRecord, rows: Mapping[Any, Row], floors: Mapping[str, float]) -> Table:
    """A line a cell, the mean over seeds: each number at the first and the last finished generation, or each
    number of a calculation and its standard error."""
    fields = list(record.chains[0].point) if record.chains else []
    beside = ("_at_lambda_", STANDARD_ERROR)
    names = [name for name in record.columns if not any(part in name for part in beside)][:_SHOWN]
    by_cell: dict[str, dict[int, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    points: dict[str, Mapping[str, Any]] = {}
    for chain, t, row in finished(record, rows):
        by_cell[label(chain.point)][t][chain.seed] = row
        points[label(chain.point)] = chain.point
    by_generation = record.row == "generation"
    title = f"{record.name}: first → last generation" if by_generation else record.name
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for field in [*fields, "t"] if by_generation else fields:
        table.add_column(field, overflow="fold")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for cell, by_t in by_cell.items():
        first, last = by_t[min(by_t)], by_t[max(by_t)]
        told = [plain(points[cell][field]) for field in fields]
        if by_generation:
            told.append(f"{min(by_t)} → {max(by_t)}")
            told += [f"{_short(_mean(first, name))} → {_short(_mean(last, name))}" for name in names]
        else:
            told += [_with_error(first, name) for name in names]
        table.add_row(*told)
    if floors:
        told = [_short(floors[name]) if name in floors else "" for name in names]
        table.add_row("real against real", *[""] * len(fields), *told, style="dim")
    return table


def _mean(rows: Mapping[int, Row], name: str) -> float:
    return statistics.fmean(row.numbers.get(name, math.nan) for row in rows.values())


def _with_error(rows: Mapping[int, Row], name: str) -> str:
    """The mean over seeds, to the first digit of its standard error, which is at most the mean of theirs."""
    mean, error = _mean(rows, name), _mean(rows, name + STANDARD_ERROR)
    if not (math.isfinite(mean) and 0 < error < math.inf):
        return _short(mean)
    digits = max(0, -math.floor(math.log10(error)))
    if digits <= _DECIMALS:
        return f"{mean:.{digits}f} ± {error:.{digits}f}"
    digits = max(0, math.floor(math.log10(abs(mean) or error)) + digits)
    return f"{mean:.{digits}e} ± {error:.0e}"


def _short(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.3g}"
