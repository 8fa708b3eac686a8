"""`madray verify`: what it shows, and its exit code when a check fails."""

import io

import numpy as np
import pytest
from rich.console import Console

from madray import verify
from madray.cli import main
from madray.theory import oracles
from madray.theory.oracles import Check

RIGHT = Check("two and two make four", "five", np.array([0.5]), np.array([9.0]))
WRONG = Check("two and two make five", "four", np.array([9.0]), np.array([9.0]))
BLIND = Check("two and two make four", "five", np.array([0.5]), np.array([1.0]))


@pytest.mark.parametrize(("given", "passed"), [([RIGHT], True), ([RIGHT, WRONG], False), ([BLIND], False)])
def test_it_passes_when_all_checks_do(given, passed, monkeypatch):
    monkeypatch.setattr(verify, "checks", lambda seed: iter(given))
    console = Console(record=True, width=120, file=io.StringIO())
    assert verify.show_checks(console, seed=0) is passed
    shown = console.export_text()
    assert "two and two make" in shown
    assert f"{sum(each.passed for each in given)} passed" in shown


def test_a_failure_is_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["madray", "verify"])
    for given, code in (([RIGHT], 0), ([WRONG], 1)):
        monkeypatch.setattr(verify, "checks", lambda seed, given=given: iter(given))
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == code
    assert "1 failed" in capsys.readouterr().out


def test_a_mistake_in_the_simulation_is_found(monkeypatch):
    # The oracles themselves are tried: with a mean that is too wide the first check fails.
    right = oracles.simulate

    def wrong(*arguments, **options):
        made = right(*arguments, **options)
        wide = oracles.Estimate(1.03 * made.mean_squared_norm.mean, made.mean_squared_norm.standard_error)
        return oracles.Simulation(made.w2_squared, made.w2, made.trace, wide)

    monkeypatch.setattr(oracles, "simulate", wrong)
    assert not oracles._first_moments(0, 0.5).passed
