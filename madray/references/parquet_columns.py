"""Columns of numbers, one a coordinate: from a table to vectors, and what is refused of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from madray.errors import BadInput

Array = NDArray[np.float64]

_STEPS_PER_DEVIATION = 1000
"""Rounding to float32 may be off by this part of a column's standard deviation: no metric sees less."""


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type is a coordinate: integers and floats; truth values and dates are not."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def number_columns(schema: pa.Schema, label: str | None, where: str) -> list[str]:
    """All columns but the labels and those that pandas writes for its index.

    Raises: BadInput, naming the column, if one is not of numbers: leaving it out is the user's to say.

    >>> number_columns(pa.schema({"x": pa.int8(), "label": pa.int8(), "y": pa.float32()}), "label", "a")
    ['x', 'y']
    >>> number_columns(pa.schema({"x": pa.int8(), "name": pa.string()}), None, "a.parquet")
    Traceback (most recent call last):
    madray.errors.BadInput: expected numbers in column 'name' of a.parquet, got string, try `values: [x]`
    """
    fields = [each for each in schema if each.name != label and not each.name.startswith("__index_level_")]
    numbers = [field.name for field in fields if is_number(field.type)]
    for field in fields:
        if numbers and not is_number(field.type):
            raise BadInput(
                f"expected numbers in column {field.name!r} of {where}, got {field.type}, "
                f"try `values: [{', '.join(numbers)}]`"
            )
    return numbers


def read_columns(table: pa.Table, where: str) -> Array:
    """The columns of a table beside each other, shape (n, d), float64.

    Raises: BadInput, naming row and column, if one is not of numbers, or a number is missing or not finite
        in float32.
    """
    return np.stack([_numbers(table.column(name), name, where) for name in table.column_names], axis=1)


def in_float32(points: Array, names: Sequence[str], where: str) -> NDArray[np.float32]:
    """The columns as the float32 that samples are.

    Args:
        points: all rows, shape (n, d).
        names: of the columns, d of them.

    Raises: BadInput, naming the column, if one never varies, or varies by less than float32 can tell.

    >>> in_float32(np.array([[1.7, 3.0], [1.8, 3.0]]), ["height_m", "country"], "a.parquet")
    Traceback (most recent call last):
    madray.errors.BadInput: expected numbers that vary in column 'country' of a.parquet, got 3 in each row...
    """
    rounded = points.astype(np.float32)
    for name, exact, given in zip(names, points.T, rounded.T, strict=True):
        if (exact == exact[0]).all():
            raise BadInput(
                f"expected numbers that vary in column {name!r} of {where}, got {exact[0]:g} in each row, "
                "try `values` with the names of the other columns"
            )
        error, deviation = float(np.abs(exact - given).max()), float(exact.std())
        if error * _STEPS_PER_DEVIATION > deviation:
            raise BadInput(_too_fine(name, where, f"{exact.mean():g} ± {deviation:g}"))
    return rounded


def _numbers(column: pa.ChunkedArray, name: str, where: str) -> Array:
    if not is_number(column.type):
        raise BadInput(
            f"expected numbers in column {name!r} of {where}, got {column.type}, "
            "try leaving it out of `values`, or converting it"
        )
    if column.null_count:
        raise BadInput(_in_row(int(pc.index(column.is_null(), True).as_py()), name, where, "null"))
    try:
        numbers: Array = column.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:  # integers beyond 2⁵³
        largest = pc.max(column).as_py()
        raise BadInput(_too_fine(name, where, f"integers up to {largest}")) from None
    with np.errstate(over="ignore"):
        finite = np.isfinite(numbers.astype(np.float32))
    if not finite.all():
        row = int(np.argmin(finite))
        raise BadInput(_in_row(row, name, where, f"{numbers[row]:g}"))
    return numbers


def _in_row(row: int, name: str, where: str, found: str) -> str:
    return (
        f"expected finite numbers in float32 in row {row} of column {name!r} of {where}, got {found}, "
        "try taking such rows out"
    )


def _too_fine(name: str, where: str, found: str) -> str:
    return (
        f"expected numbers that float32 can tell apart in column {name!r} of {where}, got {found}, "
        "try subtracting a constant near their mean"
    )
