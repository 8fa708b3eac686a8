"""Where networks are trained and sampled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from madray.errors import BadInput


def best_device() -> torch.device:
    """A CUDA device where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def fits_memory(setting: str, size: int) -> Iterator[None]:
    """Says which setting to halve where the GPU's memory is too small.

    Raises: BadInput, if what is done inside runs out of the GPU's memory.

    >>> with fits_memory("batch", 512):
    ...     raise torch.OutOfMemoryError
    Traceback (most recent call last):
    madray.errors.BadInput: expected batch = 512 to fit the GPU's memory, which it does not; try batch = 256
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise BadInput(
            f"expected {setting} = {size} to fit the GPU's memory, which it does not; "
            f"try {setting} = {max(size // 2, 1)}"
        ) from None
