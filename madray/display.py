"""What a user sees: a live view on a terminal, lines elsewhere, and the tables at the end."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from madray.engine import events
from madray.ledger import Row, SweepRecord, finished
from madray.plan import ChainPlan, Plan
from madray.spec.reading import label, plain

_SHOWN = 3
"""How many of the measured numbers the summary shows."""


class LineDisplay:
    """A line for each generation, for logs and pipes."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._names = generation_names(plan)
        self._count = _Count(plan)

    def begin(self, plan: Plan) -> None:
        self._count = _Count(plan)

    def event(self, event: events.Event) -> None:
        match event:
            case events.GenerationMade():
                self._count.made(event)
                told = f"{self._names[event.generation]} · {event.seconds:.1f} s"
                self._say(f"{self._count.done}/{self._count.total} {told}{self._count.left_told()}")
            case events.WorkFailed():
                name = self._names.get(event.generation, "the real side")
                self._say(f"failed: {name}: {event.error}")
            case events.Note():
                self._say(event.text)

    def close(self) -> None:
        """Nothing is left open."""

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """Bars for the sweep and for what every worker does right now."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._names = generation_names(plan)
        self._count = _Count(plan)
        self._whole = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} generations"),
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

    def begin(self, plan: Plan) -> None:
        self._count = _Count(plan)
        told = f"{len(plan.forest.chains)} chains, {plan.shared} generations shared"
        self._whole.update(self._task, total=self._count.total, completed=0, description=told)
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
            case events.GenerationMade():
                self._count.made(event)
                self._forget(event.generation)
                self._whole.update(self._task, completed=self._count.done, left=self._count.left_told())
            case events.WorkFailed():
                self._forget(event.generation)
                name = self._names.get(event.generation, "the real side")
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

    def _forget(self, generation: str) -> None:
        if generation in self._workers:
            self._now.remove_task(self._workers.pop(generation))


class _Count:
    """How many generations are made, and when the rest will be."""

    def __init__(self, plan: Plan) -> None:
        self._left = {order.generation.key for segment in plan.segments for order in segment.orders}
        self.total = len(self._left)
        self._begun: float | None = None

    @property
    def done(self) -> int:
        return self.total - len(self._left)

    def made(self, event: events.GenerationMade) -> None:
        # Counted from the beginning of the first one, so that the start of Ray is left out.
        if self._begun is None:
            self._begun = time.monotonic() - event.seconds
        self._left.discard(event.generation)

    def left_told(self) -> str:
        """` · about 3 min left`, once there is something to go by."""
        if self._begun is None or self.done < 2 or not self._left:
            return ""
        return f" · about {duration((time.monotonic() - self._begun) / self.done * len(self._left))} left"


def generation_names(plan: Plan) -> dict[str, str]:
    """What each generation is called: its cell, its seed and t; shared ones by how many chains they begin."""
    names = {}
    by_key: dict[str, list[ChainPlan]] = defaultdict(list)
    for chain in plan.forest.chains:
        for key in chain.generations:
            by_key[key].append(chain)
    for key, made in plan.forest.made.items():
        chains = by_key[key]
        t = made.generation.t
        cells = {label(chain.cell.point) for chain in chains}
        cell = cells.pop() if len(cells) == 1 else f"shared by {len(chains)} chains"
        names[key] = f"{cell}, seed {chains[0].seed}, generation {t}"
    return names


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
    """A line a cell: each number at the first and the last finished generation, the mean over seeds."""
    fields = list(record.chains[0].point) if record.chains else []
    names = [name for name in record.columns if "_at_lambda_" not in name][:_SHOWN]
    by_cell: dict[str, dict[int, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    points: dict[str, Mapping[str, Any]] = {}
    for chain, t, row in finished(record, rows):
        by_cell[label(chain.point)][t][chain.seed] = row
        points[label(chain.point)] = chain.point
    table = Table(title=f"{record.name}: first → last generation", title_justify="left", box=box.SIMPLE_HEAD)
    for field in [*fields, "t"]:
        table.add_column(field, overflow="fold")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for cell, by_t in by_cell.items():
        first, last = by_t[min(by_t)], by_t[max(by_t)]
        told = [f"{_mean(first, name)} → {_mean(last, name)}" for name in names]
        table.add_row(*(plain(points[cell][field]) for field in fields), f"{min(by_t)} → {max(by_t)}", *told)
    if floors:
        told = [_short(floors[name]) if name in floors else "" for name in names]
        table.add_row("real against real", *[""] * len(fields), *told, style="dim")
    return table


def _mean(rows: Mapping[int, Row], name: str) -> str:
    values = [row.numbers.get(name, math.nan) for row in rows.values()]
    return _short(statistics.fmean(values)) if values else "–"


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"
