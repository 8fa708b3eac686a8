"""Networks that see the noise in x_t: an MLP for vectors and small images, a small U-Net for larger ones.

Both give ε from v = √ᾱ ε − √(1 − ᾱ) x_0, which is what the network proper makes:

    ε(x, t, y) = √(1 − ᾱ_t) x + √ᾱ_t v(x, t, y)

At high noise, where ε is nearly x and its error is divided by √ᾱ_t to give x_0, the network then answers
for x_0 alone. The loss stays that of ε. (Salimans and Ho 2022, arXiv:2202.00512, appendix D; using it under
the loss of ε is ours.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from madray.generators.diffusion import Schedule

TIME_FEATURES = 64
"""How many numbers tell a network the time."""


class MLP(nn.Module):
    """Hidden layers of one width; time and class enter each as a bias of their own."""

    def __init__(self, size: int, classes: int, timesteps: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [size] + depth * [width]
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths[:-1], widths[1:]))
        self.time = nn.ModuleList(nn.Linear(TIME_FEATURES, width, bias=False) for _ in range(depth))
        self.label = nn.ModuleList(nn.Embedding(classes, width) for _ in range(depth))
        self.out = nn.Linear(width, size)
        self.residual = True

    def forward(self, x: Tensor, f: Tensor, y: Tensor) -> Tensor:
        h = x.flatten(1)
        for layer, (hidden, time, label) in enumerate(zip(self.hidden, self.time, self.label)):
            new = functional.silu(hidden(h) + time(f) + label(y))
            h = new + h if layer and self.residual else new
        return self.out(h)
