"""All weights of a network as one vector: an optimizer's step is one operation, and so is an average."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from madray.errors import Damaged


class Weights:
    """The parameters of a module, and their gradients, as views of two vectors.

    Takes a module without memory (on the device "meta") to the device given. What is written to `values`
    is in the module at once; what a backward pass adds is in `gradient`.

    >>> with torch.device("meta"):
    ...     module = nn.Linear(2, 1)
    >>> weights = Weights(module, torch.device("cpu"))
    >>> _ = weights.values.copy_(torch.tensor([1.0, 2.0, 3.0]))
    >>> module(torch.tensor([10.0, 100.0])).item()
    213.0
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        module.to_empty(device=device)
        self._module = module
        size = sum(parameter.numel() for parameter in module.parameters())
        self.values = torch.zeros(size, device=device)
        self.gradient = torch.zeros(size, device=device)
        start = 0
        self._parameters = list(module.parameters())
        for parameter in self._parameters:
            end = start + parameter.numel()
            parameter.data = self.values[start:end].view(parameter.shape)
            parameter.grad = self.gradient[start:end].view(parameter.shape)
            start = end

    def initialise(self, generator: torch.Generator) -> None:
        """Draw first weights: uniform within ±1/√(inputs) for linear maps and convolutions, biases 0,
        normalisations the identity, and the map named `last` 0, so that the network starts by adding nothing.

        Args:
            generator: on the CPU, so that every device starts from the same weights.
        """
        for name, layer in self._module.named_modules():
            if isinstance(layer, nn.GroupNorm):
                layer.weight.data.fill_(1)
            elif isinstance(layer, nn.Linear | nn.Conv2d):
                bound = math.prod(layer.weight.shape[1:]) ** -0.5
                drawn = torch.rand(layer.weight.shape, generator=generator).mul_(2 * bound).sub_(bound)
                layer.weight.data.copy_(torch.zeros_like(drawn) if name.endswith("last") else drawn)

    def differentiate(self, loss: torch.Tensor) -> None:
        """Write the gradient of a loss, which need not depend on every weight, over the last one."""
        parts = torch.autograd.grad(loss, self._parameters, allow_unused=True, materialize_grads=True)
        torch.cat([part.flatten() for part in parts], out=self.gradient)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """A copy of each parameter, by its name in the module."""
        return {
            name: np.array(parameter.detach().cpu().numpy())
            for name, parameter in self._module.named_parameters()
        }

    def read(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `arrays` gave.

        Raises: Damaged, if a parameter is missing or of another shape.
        """
        for name, parameter in self._module.named_parameters():
            if name not in arrays or arrays[name].shape != tuple(parameter.shape):
                found = arrays[name].shape if name in arrays else "none"
                raise Damaged(f"expected weights {name} of shape {tuple(parameter.shape)}, got {found}")
            parameter.data.copy_(torch.from_numpy(np.array(arrays[name])))
