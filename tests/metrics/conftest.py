"""What the tests of metrics with networks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from madray.engine.threads import limited_threads


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As a worker of a sweep has: in networks this small, threads mostly wait for each other."""
    import torch  # noqa: F401  # before threads are limited, so that torch gets back what it had

    with limited_threads(1):
        yield
