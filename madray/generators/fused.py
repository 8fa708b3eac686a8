"""A function of tensors in bf16, its small operations fused into few kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def fused(function: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    """The function by `torch.compile` under bf16 autocast where the device is a GPU; elsewhere itself.

    Convolutions and matrix products take bf16 and add up in float32; all else is float32. The compiler lays
    images out with their channels last, and makes one kernel of a normalisation and what stands around it. It
    compiles once for each shape of the arguments.

    >>> fused(torch.add, torch.device("cpu"))(torch.ones(1), torch.ones(1)).item()
    2.0
    """
    if device.type != "cuda":
        return function
    compiled = torch.compile(function, dynamic=False, fullgraph=True)

    def run(*given: Tensor) -> Tensor:
        # Without autocast's cache, which would outlive the CUDA graph that its casts were captured in. The
        # compiler's own limit, 8 shapes in a process, is soon reached by chunks that end in a shorter one.
        with (
            torch.autocast("cuda", torch.bfloat16, cache_enabled=False),
            torch._dynamo.config.patch(recompile_limit=64),
        ):
            return compiled(*given)

    return run
