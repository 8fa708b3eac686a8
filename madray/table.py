"""The table of a sweep: a row per cell, seed and generation, the same byte for byte however it came about."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from madray import parquet
from madray.keys import canonical
from madray.ledger import Row, SweepRecord, finished

Value = float | int | str | None


def table(record: SweepRecord, rows: Mapping[tuple[str, int, str], Row]) -> pa.Table:
    """All grid fields, seed and generation (none where rows tell of calculations), then all measurements,
    sorted by the former.

    A field of the grid whose values are not all numbers is written as text, mappings as JSON; what the whole
    grid has says so, so that no row changes while others are being made.
    """
    fields = list(record.chains[0].point) if record.chains else []
    by_generation = record.row == "generation"
    lines: list[tuple[list[Any], dict[str, Value]]] = []
    for chain, t, row in finished(record, rows):
        point = {field: _cell(chain.point[field]) for field in fields}
        numbers = {name: row.numbers.get(name, math.nan) for name in record.columns}
        order = [*(_order(value) for value in point.values()), chain.seed, t]
        counted = {"seed": chain.seed, "generation": t} if by_generation else {"seed": chain.seed}
        lines.append((order, {**point, **counted, **numbers}))
    lines.sort(key=lambda line: line[0])
    told = [line for _, line in lines]
    points = {field: [_cell(chain.point[field]) for chain in record.chains] for field in fields}
    columns = {field: _column([line[field] for line in told], points[field]) for field in fields}
    counts = ("seed", "generation") if by_generation else ("seed",)
    columns |= {field: pa.array([line[field] for line in told], pa.int64()) for field in counts}
    columns |= {name: pa.array([line[name] for line in told], pa.float64()) for name in record.columns}
    return pa.table(columns)


def to_csv(made: pa.Table) -> bytes:
    """Comma-separated values; numbers as the shortest text that reads back the same, NaN as `nan`."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(made.column_names)
    for line in made.to_pylist():
        writer.writerow(line.values())
    return sink.getvalue().encode()


def to_json(made: pa.Table) -> bytes:
    """A JSON list with an object a row; NaN as null, infinity, which JSON cannot say either, as text."""
    lines = [{name: _json(value) for name, value in line.items()} for line in made.to_pylist()]
    return (json.dumps(lines, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def to_parquet(made: pa.Table) -> bytes:
    """A Parquet file."""
    return parquet.to_parquet(made)


def _json(value: Value) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _cell(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return canonical(value)
    return value


def _order(value: Value) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value or 0), "")


def _column(values: Sequence[Value], all_values: Sequence[Value]) -> pa.Array:
    if any(isinstance(value, str) for value in all_values):
        return pa.array(
            [value if isinstance(value, str) else canonical(value) for value in values], pa.string()
        )
    if all(isinstance(value, int) for value in all_values):
        return pa.array(values, pa.int64())
    return pa.array([float(value or 0) for value in values], pa.float64())
