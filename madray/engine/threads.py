"""How many threads numerical libraries take: one number for everything that makes results."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables for a process that is yet to start."""
    return dict.fromkeys(_VARIABLES, str(threads))


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit BLAS, OpenMP and torch in this process, and give back what was before.

    Sums in another number of threads differ in their last bits, and a long fit makes that visible.
    """
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")  # loaded later, it reads the variables
    torch_before = torch.get_num_threads() if torch is not None else 0
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(thread_variables(threads))
    if torch is not None:
        torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(torch_before)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
