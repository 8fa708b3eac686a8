"""`madray status`: all of a small sweep, of a large one what is worth a look; as JSON always everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from madray.errors import BadInput
from madray.ledger import ChainRecord, Failure, Ledger, Row, SweepRecord
from madray.status import MANY, MANY_FAILURES, show_status, status_of
from madray.store import Store


def chain_of(place: int) -> ChainRecord:
    return ChainRecord(
        f"c{place}", {"n_s": place}, 0, [f"g{place}-1", f"g{place}-2"], [f"r{place}-1", f"r{place}-2"], {}
    )


def row_of(place: int, t: int) -> Row:
    return Row(f"c{place}", t, f"r{place}-{t}", f"g{place}-{t}", {"w2": 0.5}, "", "l", 9, 0.1, 0.0)


def a_sweep(store: Store, chains: int, *, begun: int = 0, finished: int = 0, failed: int = 0) -> None:
    """A sweep of which the first chains failed, the next are finished, the next have one generation of two."""
    ledger = Ledger(store, "s")
    record = SweepRecord("s", 0.0, "name: s", {}, ["w2"], {}, [chain_of(place) for place in range(chains)])
    ledger.write_record(record)
    made = [row_of(place, t) for place in range(failed, failed + finished) for t in (1, 2)]
    made += [row_of(place, 1) for place in range(failed + finished, failed + finished + begun)]
    ledger.append(made)
    for place in range(failed):
        ledger.write_failure(
            Failure(f"g{place}-1", 1, [f"c{place}"], f"RuntimeError: no {place}", "Traceback")
        )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path)


def shown(store: Store, capsys: pytest.CaptureFixture[str]) -> str:
    show_status(store, "s", as_json=False)
    return capsys.readouterr().out


def cells(told: str) -> list[str]:
    return [line.split("│")[1].strip() for line in told.splitlines() if "n_s=" in line]


def test_a_sweep_of_a_hundred_chains_is_shown_whole_and_in_its_order(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    a_sweep(store, MANY, finished=7, failed=1)
    told = shown(store, capsys)
    assert cells(told) == [f"n_s={place}" for place in range(MANY)]
    assert "s: 14 of 200 generations" in told
    assert "--json" not in told


def test_of_a_larger_one_failed_chains_come_first_then_begun_ones_and_finished_ones_not_at_all(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    a_sweep(store, MANY + 50, finished=20, failed=2, begun=3)
    told = shown(store, capsys)
    others = range(25, MANY + 50)
    assert cells(told) == [f"n_s={place}" for place in [0, 1, 22, 23, 24, *others]][:MANY]
    assert f"{MANY + 50} chains: 2 failed, {MANY + 28} unfinished, 20 finished; 100 are shown" in told
    assert "s: 43 of 300 generations" in told
    assert "RuntimeError: no 1" in told


def test_a_large_sweep_that_is_finished_says_so_in_two_lines(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    a_sweep(store, MANY + 1, finished=MANY + 1)
    assert shown(store, capsys).splitlines() == [
        "s: 202 of 202 generations",
        "101 chains: 101 finished; 0 are shown, --json shows all",
    ]


def test_of_many_failures_the_first_few_are_shown(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    a_sweep(store, 40, failed=MANY_FAILURES + 5)
    told = shown(store, capsys)
    assert told.count("RuntimeError") == MANY_FAILURES
    assert "5 more failures; --json shows all" in told


def test_json_and_status_of_tell_of_every_chain_and_failure(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    a_sweep(store, 300, finished=100, failed=30, begun=1)
    show_status(store, "s", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told == status_of(store, "s")
    states = [chain["state"] for chain in told["chains"]]
    assert states == ["failed"] * 30 + ["finished"] * 100 + ["unfinished"] * 170
    assert len(told["failures"]) == 30
    assert told["generations"] == {"finished": 201, "all": 600}


def test_a_failure_that_was_made_since_is_told_no_more(store: Store) -> None:
    a_sweep(store, 2, failed=1)
    assert [failure["error"] for failure in status_of(store, "s")["failures"]] == ["RuntimeError: no 0"]
    Ledger(store, "s").append([row_of(0, 1)])
    told = status_of(store, "s")
    assert told["failures"] == []
    assert [chain["state"] for chain in told["chains"]] == ["unfinished", "unfinished"]


def test_of_all_sweeps_those_without_a_whole_record_are_passed_over_and_noted(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    a_sweep(store, 2, finished=1)
    Ledger(store, "removed").append([row_of(0, 1)])
    show_status(store, None, as_json=True)
    assert json.loads(capsys.readouterr().out) == [status_of(store, "s")]
    assert "a whole record of removed in " in store.notes[0]
    with pytest.raises(BadInput, match="found none; run its file again, or madray remove removed"):
        status_of(store, "removed")
