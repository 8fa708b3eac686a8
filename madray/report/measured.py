"""Finished sweeps as figures need them: what is constant, a table, its columns with their standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from madray.errors import BadInput
from madray.results import open as open_store
from madray.spec.reading import parse_sweep
from madray.spec.theory import STANDARD_ERROR
from madray.theory import Estimate
from madray.theory.estimate import Array


@dataclass(frozen=True)
class Measured:
    """What a finished sweep knows.

    Attributes:
        name: the sweep's.
        constants: the fields that all cells share, as the sweep file writes them.
        table: a row per cell (and generation), of one seed.
    """

    name: str
    constants: Mapping[str, Any]
    table: pd.DataFrame

    def constant(self, field: str) -> Any:
        """The value of a field that all cells share. Raises: BadInput, if the sweep gives none."""
        if field not in self.constants:
            given = ", ".join(self.constants)
            raise BadInput(f"{self.name}: expected one {field} for all cells, got {given} alone")
        return self.constants[field]


def read(store: str, name: str) -> Measured:
    """A sweep of a store. Raises: BadInput, if it is unknown, not finished, or has several seeds."""
    sweep = open_store(store)[name]
    table, expected = sweep.table(), sum(len(chain.rows) for chain in sweep.record.chains)
    if len(table) < expected:
        raise BadInput(
            f"{name}: expected all {expected} rows of the sweep, got {len(table)}; try madray resume {name}"
        )
    if table["seed"].nunique() != 1:
        raise BadInput(f"{name}: expected one seed, got {table['seed'].nunique()}; try --set seeds=1")
    constants = parse_sweep(sweep.record.text, name=name).sweep.constants
    return Measured(name, constants, table.drop(columns="seed"))


def estimates(table: pd.DataFrame, name: str) -> Estimate[Array]:
    """A column, and the column of its standard errors.

    >>> estimates(pd.DataFrame({"n_e": [2.0], "n_e_standard_error": [0.1]}), "n_e")
    Estimate(mean=array([2.]), standard_error=array([0.1]))
    """
    mean, error = (table[column].to_numpy(dtype=float) for column in (name, name + STANDARD_ERROR))
    return Estimate(mean, error)


def groups(table: pd.DataFrame, by: str) -> list[tuple[Any, pd.DataFrame]]:
    """The values of a column, ascending, and the rows of each in the table's order.

    >>> [value for value, _ in groups(pd.DataFrame({"n": [30, 10, 30]}), "n")]
    [10, 30]
    """
    return [(value, table[table[by] == value]) for value in sorted(table[by].unique().tolist())]
