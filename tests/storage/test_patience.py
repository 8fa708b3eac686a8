"""Asking again: how often, how long, and when not at all. By a clock that only waiting moves."""

from __future__ import annotations

import pytest

from madray.filesystems import Patience


class Clock:
    def __init__(self) -> None:
        self.time_s = 0.0
        self.waits: list[float] = []

    def now_s(self) -> float:
        return self.time_s

    def sleep_s(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.time_s += wait_s


def failing(times: int, error: OSError) -> list[OSError]:
    return [error] * times


def ask(patience: Patience, errors: list[OSError]) -> tuple[str | OSError, list[float]]:
    """What comes of a call that raises these errors first, and the waits."""
    clock, left = Clock(), list(errors)

    def call() -> str:
        if left:
            raise left.pop()
        return "answer"

    try:
        return patience.ask(call, now_s=clock.now_s, sleep_s=clock.sleep_s), clock.waits
    except OSError as error:
        return error, clock.waits


def test_waits_double_up_to_the_longest() -> None:
    patience = Patience(first_s=1, longest_s=5, total_s=100)
    assert ask(patience, failing(5, OSError("503"))) == ("answer", [1, 2, 4, 5, 5])


def test_no_try_begins_after_the_total_time() -> None:
    error = OSError("503")
    # Tries at 0, 1, 3 and 7; the next would be at 15.
    assert ask(Patience(first_s=1, longest_s=8, total_s=14), failing(9, error)) == (error, [1, 2, 4])
    assert ask(Patience(first_s=1, longest_s=8, total_s=15), failing(4, error)) == ("answer", [1, 2, 4, 8])


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("x"),
        PermissionError("x"),
        OSError("AWS Error ACCESS_DENIED during PutObject"),
        OSError("AWS Error NO_SUCH_BUCKET during PutObject"),
    ],
)
def test_what_cannot_pass_is_told_at_once(error: OSError) -> None:
    assert ask(Patience(), failing(1, error)) == (error, [])
