"""Finished sweeps of chains as figures need them: numbers by cell, generation and seed, and their floors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from madray.errors import BadInput
from madray.metrics import trace_of_covariance
from madray.report.per_seed import PerSeed
from madray.results import SweepResults
from madray.spec.reading import TheoryFile, label, parse_sweep
from madray.spec.theory import STANDARD_ERROR
from madray.theory import Estimate
from madray.theory.estimate import Array

Point = Mapping[str, Any]
"""Values of fields that tell a cell from the others: `{"lambda": 0.5}`."""

REAL = "real against real"
"""How the row of the floors is called in a table."""

SHARES = ("precision", "recall", "label_accuracy")
"""Numbers that are shares of n_eval samples."""


@dataclass(frozen=True)
class Chains:
    """What a finished sweep of chains knows.

    Attributes:
        name: the sweep's.
        table: a row per cell, seed and generation; `lambda` is a column whether or not the grid varies it.
        floors: what each number is for real samples: against other real ones, where it compares.
        n_eval: how many samples were measured.
    """

    name: str
    table: pd.DataFrame
    floors: Mapping[str, float]
    n_eval: int

    @staticmethod
    def read(sweep: SweepResults) -> Chains:
        """Raises: BadInput, if the sweep is of theory, or not finished."""
        file = parse_sweep(sweep.record.text, name=sweep.name)
        if isinstance(file, TheoryFile):
            raise BadInput(f"{sweep.name}: expected a sweep of chains, got one of theory")
        table, expected = sweep.table(), sum(len(chain.rows) for chain in sweep.record.chains)
        if len(table) < expected:
            raise BadInput(
                f"{sweep.name}: expected all {expected} rows of the sweep, got {len(table)}; "
                f"try madray resume {sweep.name}"
            )
        one = file.cells[0]
        if one.chain.generations < 2:
            raise BadInput(f"{sweep.name}: expected 2 or more generations, got 1")
        if "lambda" not in table:
            table.insert(0, "lambda", one.chain.bias)
        floors = sweep.floors()
        if "variance" in table:
            floors["variance"] = trace_of_covariance(sweep.real(one.point).flat())
        return Chains(sweep.name, table, floors, one.chain.n_eval)

    @property
    def seeds(self) -> int:
        """How many seeds each cell has."""
        return int(self.table["seed"].nunique())

    @property
    def last(self) -> int:
        """The last generation."""
        return int(self.table["generation"].max())

    @property
    def biases(self) -> list[float]:
        """All λ, from 1 down."""
        return self.values("lambda")[::-1]

    def values(self, field: str) -> list[Any]:
        """All values of a field, ascending. Raises: BadInput, if the grid does not vary it."""
        self._know(field)
        return sorted(self.table[field].unique().tolist())

    def number(self, name: str, point: Point, t: int) -> PerSeed:
        """A number of generation t of one cell. Raises: BadInput, if there is no such cell, or several."""
        values = self._by_seed(name, point)[:, t - 1]
        return PerSeed(values, self._noise(name, float(values.mean())))

    def change(self, name: str, point: Point) -> PerSeed:
        """A number of the last generation less that of the first."""
        return self.number(name, point, self.last) - self.number(name, point, 1)

    def curve(self, name: str, point: Point) -> tuple[Array, Estimate[Array]]:
        """Generations, and the means of a number over seeds; its standard errors are NaN of one seed."""
        values = self._by_seed(name, point)
        return np.arange(1.0, values.shape[1] + 1), Estimate.over_replicates(values)

    def over_seeds(self, names: Sequence[str]) -> pd.DataFrame:
        """A row per cell and generation: the means of numbers, each followed by its standard error."""
        cell = list(self.table.columns[: self.table.columns.get_loc("seed")])
        self._know(*names)
        rows = self.table.groupby([*cell, "generation"], sort=False)
        columns = {}
        for name in names:
            columns[name] = rows[name].mean()
            columns[name + STANDARD_ERROR] = rows[name].sem()
        return pd.DataFrame(columns).reset_index()

    def with_floors(self, names: Sequence[str]) -> pd.DataFrame:
        """As `over_seeds`, after a row `REAL` of what real samples have; NaN where a number has no floor."""
        table = self.over_seeds(names)
        first, *others = table.columns
        floors = {name: self.floors.get(name, math.nan) for name in names}
        row = pd.DataFrame([{first: REAL, **dict.fromkeys(others, math.nan), **floors}]).astype(object)
        told = pd.concat([row, table.astype(object)], ignore_index=True)
        return told.astype({name: float for name in told if name not in self.table or name in names})

    def told(self, names: Sequence[str]) -> list[str]:
        """Those of these numbers that the sweep measured, in their order."""
        return [name for name in names if name in self.table]

    def _by_seed(self, name: str, point: Point) -> Array:
        """Shape (seeds, generations)."""
        self._know(name, *point)
        chosen = pd.Series(True, index=self.table.index)
        for field, value in point.items():
            chosen &= self.table[field] == value
        rows = self.table[chosen]
        if len(rows) != self.seeds * self.last:
            raise BadInput(
                f"{self.name}: expected one cell for {label(point)}, got {len(rows)} rows of generations; "
                "try the figure's own sweep file"
            )
        found = rows.pivot(index="seed", columns="generation", values=name)
        return found.to_numpy(dtype=float)

    def _know(self, *columns: str) -> None:
        if unknown := [column for column in columns if column not in self.table]:
            known = ", ".join(self.table.columns)
            raise BadInput(
                f"{self.name}: expected {unknown[0]} in the sweep's table, which has {known}; "
                "try the figure's own sweep file"
            )

    def _noise(self, name: str, value: float) -> float:
        """About the standard deviation that measuring other samples of one model would make.

        Of a share it is that of the binomial, with 4 samples made up so that it is not 0 at the ends (Agresti
        and Coull 1998); of fid the floor; of the variance, a mean over samples, its share of 1/√n_eval. Real
        and spoilt images of the MNIST (blurred, or few of them over and over), measured 12 times at n_eval
        1000 and 4000, had 0.6 to 1.4 times the first, 0.1 to 1.4 times the second, 0.2 to 0.5 of the third.
        """
        if name in SHARES:
            share = (value * self.n_eval + 2) / (self.n_eval + 4)
            return math.sqrt(share * (1 - share) / self.n_eval)
        if name == "variance":
            return value / math.sqrt(self.n_eval)
        return self.floors.get(name, math.nan)
