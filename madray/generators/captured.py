"""A function of tensors as a CUDA graph: all its kernels in one launch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_WARM_UPS = 3
"""Calls before the capture, in which libraries make what they keep (as torch's notes on CUDA graphs say)."""


def captured(function: Callable[..., Tensor], *examples: Tensor) -> Callable[..., Tensor]:
    """The function as a CUDA graph where its arguments lie on a GPU; elsewhere the function itself.

    A step of small networks is hundreds of kernels of microseconds each, which a GPU runs faster than Python
    can ask for them.

    Args:
        function: draws nothing, waits for nothing, and leaves what it makes beside its answer, such as
            gradients, always in the same memory. It is called with the examples some times.
        examples: arguments of the shapes, types and device of all to come.

    Returns: a function of such arguments.

    >>> captured(torch.add, torch.zeros(1), torch.zeros(1))(torch.ones(1), torch.ones(1)).item()
    2.0
    """
    if not examples[0].is_cuda:
        return function
    inputs = [example.clone() for example in examples]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            function(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = function(*inputs)

    def replay(*given: Tensor) -> Tensor:
        for there, each in zip(inputs, given, strict=True):
            there.copy_(each)
        graph.replay()
        return answer.clone()  # the next replay writes another one over it

    return replay
