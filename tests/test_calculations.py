"""Calculations as data: keys that are known before anything runs, each once, and what of them is missing."""

from __future__ import annotations

from typing import Any

from madray.artifacts import Marker
from madray.calculations import KIND, Calculation, CalculationPlan, Calculations
from madray.spec.reading import TheoryFile, check_sweep
from madray.spec.theory import Boundary, Limit

LIMIT = {"kind": "limit", "d": 3, "n_r": 20, "n_s": 80}


def calculations(theory: dict[str, Any], grid: dict[str, Any] | None = None, seeds: Any = 1) -> Calculations:
    raw = {"name": "s", "theory": theory, "grid": grid or {}, "seeds": seeds}
    file = check_sweep(raw, name="test")
    assert isinstance(file, TheoryFile)
    return Calculations.of(file.cells, file.sweep.seed_list)


def test_a_key_names_settings_and_seed() -> None:
    limit = Limit(d=3, n_r=20, n_s=80)
    assert Calculation(limit, 0).key == Calculation(limit, 0, frozenset({5})).key
    others = [
        Calculation(limit, 1),
        Calculation(Limit(d=4, n_r=20, n_s=80), 0),
        Calculation(Limit(d=3, n_r=20, n_s=80, rtol=0.01), 0),
        Calculation(Boundary(d=3, n_r=20), 0),
    ]
    assert len({Calculation(limit, 0).key, *(each.key for each in others)}) == 5


def test_keys_stay_what_they_are() -> None:
    """What was calculated is found again by later versions."""
    assert Calculation(Limit(d=3, n_r=20, n_s=80), 0).key == "c959664436c379b2b605f3606f6a0a55eb188f95"
    assert Calculation(Boundary(d=3, n_r=20), 7).key == "c9f466042ee4aa12fa30d04031cbc530b73451ad"


def test_every_cell_has_a_calculation_for_each_seed() -> None:
    asked = calculations(LIMIT, {"lambda": [1.0, 0.9], "n_s": [0, 80]}, seeds=[2, 5])
    assert len(asked.cells) == len(asked.made) == 8
    assert [seed for _, seed, _ in asked.cells] == [2, 5] * 4
    for place, (cell, seed, key) in enumerate(asked.cells):
        one = asked.made[key]
        assert (one.settings, one.seed, one.chains) == (cell.theory, seed, {place})
    assert set(asked.artifacts()) == {(KIND, key) for key in asked.made}


def test_cells_that_mean_the_same_share_a_calculation() -> None:
    theory = {"kind": "limit", "d": 3, "n": 10}
    asked = calculations(theory, {"p": [0.5, 0.51, 0.7]})
    assert (len(asked.cells), len(asked.made)) == (3, 2)
    first = asked.made[asked.cells[0][2]]
    assert first.chains == {0, 1}


def test_what_the_store_holds_is_not_missing() -> None:
    asked = calculations(LIMIT, {"lambda": [1.0, 0.9, 0.8]})
    keys = list(asked.made)
    todo = CalculationPlan.of(asked, {(KIND, keys[1]): Marker("a", {"numbers.json": (1, "")})})
    assert [each.key for each in todo.work] == [keys[0], keys[2]]
    assert not todo.complete
    assert todo.told() == "3 calculations, 1 in the store, 2 remain"
    assert len(todo.efforts(range(4))) == 2
    whole = CalculationPlan.of(asked, {(KIND, key): Marker("a", {}) for key in keys})
    assert whole.complete
    assert whole.told() == "3 calculations, 3 in the store, 0 remain"


def test_calculations_are_alike_that_differ_in_sizes_and_lambda_alone() -> None:
    def likes(theory: dict[str, Any]) -> set[str]:
        return {each.effort.like for each in calculations(theory).made.values()}

    base = likes(LIMIT)
    assert base == likes({**LIMIT, "n_r": 5, "n_s": 0, "lambda": 0.3})
    for other in ({"d": 4}, {"rtol": 0.1}, {"memory": 2}):
        assert base != likes({**LIMIT, **other})
    [one] = calculations(LIMIT).made.values()
    assert one.effort.n == 100
