"""How long to go on asking a store that is far away: again after growing waits, and never without end.

Only what may pass by itself is tried again: an answer that never came, 503, a connection that was reset, a
body cut short. What is not there, and what is not allowed, stays so, and is told at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Answer = TypeVar("Answer")

_FINAL = (
    "ACCESS_DENIED",
    "NO_SUCH_BUCKET",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "HTTP status 403",
)
"""What object stores say, inside of an OSError, when asking again cannot help."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Waits that double, and the time after which a call is not tried again.

    The waits have no jitter, so that a run does the same each time; workers fall out of step by themselves.

    Attributes:
        first_s: the wait after the first failure, in seconds.
        longest_s: no wait is longer, in seconds.
        total_s: no try begins later than this after the first began, in seconds; one that has begun may
            take as long as the filesystem lets it.
    """

    first_s: float = 0.25
    longest_s: float = 8.0
    total_s: float = 60.0

    def waits_s(self) -> Iterator[float]:
        """The waits between tries, in seconds; endless.

        >>> waits = Patience(first_s=1, longest_s=3).waits_s()
        >>> [next(waits) for _ in range(4)]
        [1, 2, 3, 3]
        """
        wait_s = self.first_s
        while True:
            yield min(wait_s, self.longest_s)
            wait_s *= 2

    def ask(
        self,
        call: Callable[[], Answer],
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> Answer:
        """What a call answers, in the end.

        Args:
            call: may run several times, so it has to be one that can.
            now_s, sleep_s: a clock, and how to wait by it.

        Raises: OSError, the last one, when the time is over or asking again cannot help.
        """
        end_s = now_s() + self.total_s
        for wait_s in self.waits_s():
            try:
                return call()
            except OSError as error:
                if not may_pass(error) or now_s() + wait_s > end_s:
                    raise
            sleep_s(wait_s)
        raise AssertionError("the waits have no end")


def may_pass(error: OSError) -> bool:
    """Whether the same call may succeed later.

    >>> may_pass(OSError("AWS Error SLOW_DOWN")), may_pass(FileNotFoundError())
    (True, False)
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError | PermissionError):
        return False
    return not any(said in str(error) for said in _FINAL)
