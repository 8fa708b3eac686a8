"""What happens to a sweep that is told to stop: by Ctrl-C, or by SIGTERM, the notice of a spot instance."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GONE_SECONDS = 22.0
"""Who was told to leave is gone after this, whatever hangs: half a minute after the notice of a spot instance
the machine is, and many send SIGKILL before."""


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does: what is in the store stays, the exit code is 130."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        _be_gone_in_time()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that fits leave a checkpoint first. A second Ctrl-C ends the
    process as it always does."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before[signal.SIGINT])
        if number == signal.SIGTERM:
            _be_gone_in_time()

    for number in before:
        signal.signal(number, stop)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Handlers of signals stay what they are, whatever is set in here: Ray's own exits with 15 on SIGTERM.

    Raises: KeyboardInterrupt, where that happens in here.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if main and before is not None:
            signal.signal(signal.SIGTERM, before)


def _be_gone_in_time() -> None:
    """End this process in time, should it not end by itself: its Ray may have been told to leave as well, and
    whoever asks that waits for a minute."""

    def leave() -> None:
        print("madray: stopped; run it again to go on", file=sys.stderr, flush=True)
        os._exit(130)

    timer = threading.Timer(GONE_SECONDS, leave)
    timer.daemon = True
    timer.start()
