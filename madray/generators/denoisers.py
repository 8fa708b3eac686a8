"""Networks that see the noise in what is noised: an MLP for vectors and small images, else a small U-Net.

Neither network sees data as they are, nor makes ε itself. For data z_0 of mean 0 and standard deviations τ
(one for each coordinate), and z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε,

    ε(z, t, y) = √(1 − ᾱ_t) / v_t · z + √ᾱ_t τ / √v_t · F(z / √u_t, t, y),
    v_t = ᾱ_t τ² + 1 − ᾱ_t,   u_t = ᾱ_t mean(τ²) + 1 − ᾱ_t

The first term is the whole answer for Gaussian data without correlations, and F, of unit size at every t,
adds what the data have beyond that. So an error of F is never divided by √ᾱ_t ≈ 0 on its way to z_0, and a
coordinate that never varies (a pixel outside all digits; a collapsed mode) is sampled exactly.

Source: the preconditioning of Karras et al. 2022 (arXiv:2206.00364), table 1, written for ε and with a σ_data
for each coordinate; its use for a DDPM is ours.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from madray.generators.diffusion import Epsilon, Schedule

TIME_FEATURES = 64
"""How many numbers tell a network the time."""

LARGEST_FLAT = 8
"""Images up to this height and width go to the MLP."""


class Network(Protocol):
    """F(z, condition); `condition` is a linear map of time features and the class, shape (n, `told`)."""

    told: int

    def __call__(self, z: Tensor, condition: Tensor) -> Tensor: ...


class Denoiser(nn.Module):
    """ε(z, t, y): a network with its scales, its sense of time and its classes.

    Args:
        shape: of one sample.
        classes: how many there are; one more index, `classes` itself, stands for "no label".
        schedule: of the noise.
        spread: τ, shape `shape`.
        width, depth: of the network, as the settings say.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int,
        schedule: Schedule,
        spread: NDArray[np.float32],
        width: int,
        depth: int,
        device: torch.device,
    ) -> None:
        super().__init__()
        # Built without memory, and so without a draw from torch's global generator; `Weights` fills it.
        with torch.device("meta"):
            self.network: Network = (
                UNet(shape[0], max(width // 8, 1), depth)
                if len(shape) == 3 and max(shape[1:]) > LARGEST_FLAT
                else MLP(math.prod(shape), width, depth)
            )
            self.condition = nn.Linear(TIME_FEATURES + classes + 1, self.network.told)

        def table(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device)

        tau2 = spread.astype(np.float64) ** 2
        signal = schedule.signal.reshape(-1, *(1 for _ in shape))
        variance = signal * tau2 + 1 - signal
        variance[0] = 1  # t = 0 is never asked for, and 0 / 0 where τ = 0
        self.skip = table((1 - signal) ** 0.5 / variance)
        self.out = table(signal**0.5 * spread / variance**0.5)
        whole = signal * tau2.mean() + 1 - signal
        whole[0] = 1  # the same
        self.into = table(whole**-0.5)
        self.time = table(time_features(schedule.timesteps))
        self.label = torch.eye(classes + 1, device=device)

    def forward(self, z: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """ε of n inputs, each at a time and with a class of its own: shapes (n, *shape), (n,) and (n,)."""

        def at(table: Tensor) -> Tensor:
            return table.index_select(0, t)

        condition = self.condition(torch.cat([at(self.time), self.label.index_select(0, y)], dim=1))
        made = self.network(z * at(self.into), condition)
        return torch.addcmul(at(self.skip) * z, at(self.out), made)

    def labelled(self, y: Tensor) -> Epsilon:
        """ε of n inputs that share their time, with the classes y, shape (n,).

        What depends on time or class alone is computed here, once for all steps.
        """
        weight = self.condition.weight
        times = functional.linear(self.time, weight[:, :TIME_FEATURES], self.condition.bias)
        labels = weight[:, TIME_FEATURES:].T[y]

        def epsilon(z: Tensor, t: int) -> Tensor:
            made = self.network(z * self.into[t], labels + times[t])
            return made.mul_(self.out[t]).addcmul_(self.skip[t], z)

        return epsilon


class MLP(nn.Module):
    """Hidden layers of one width, with SiLU; the condition is a bias of the first."""

    def __init__(self, size: int, width: int, depth: int) -> None:
        super().__init__()
        self.told = width
        self.first = nn.Linear(size, width, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.last = nn.Linear(width, size)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        h = functional.silu(torch.addmm(condition, z.flatten(1), self.first.weight.T))
        for layer in self.hidden:
            h = functional.silu(layer(h))
        made: Tensor = self.last(h)
        return made.view_as(z)


class UNet(nn.Module):
    """Two residual blocks a level, one on the way down and one on the way up, and one at the bottom.

    Level l has min(2^l, 4) times the channels of the first, at half the size of the level above (rounded
    up, so that any size will do).
    """

    def __init__(self, colours: int, channels: int, depth: int) -> None:
        super().__init__()
        self.told = told = 4 * channels
        widths = [channels * min(2**level, 4) for level in range(depth)]
        steps = list(pairwise(widths))
        self.first = nn.Conv2d(colours, channels, 3, padding=1)
        self.down = nn.ModuleList(Block(width, width, told) for width in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps)
        self.bottom = Block(widths[-1], widths[-1], told)
        self.up = nn.ModuleList(Block(2 * width, width, told) for width in reversed(widths))
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in reversed(steps))
        self.norm = group_norm(channels)
        self.last = nn.Conv2d(channels, colours, 3, padding=1)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        condition = functional.silu(condition)
        h = self.first(z)
        kept: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(h, condition)
            kept.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        h = self.bottom(h, condition)
        for level, block in enumerate(self.up):
            across = kept.pop()
            if level:
                h = self.grow[level - 1](functional.interpolate(h, size=across.shape[-2:]))
            h = block(torch.cat([h, across], dim=1), condition)
        made: Tensor = self.last(functional.silu(self.norm(h)))
        return made


class Block(nn.Module):
    """Two convolutions and a way around them; the condition shifts the channels in between."""

    def __init__(self, into: int, out: int, told: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(into), group_norm(out)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shift = nn.Linear(told, out)
        self.around = nn.Conv2d(into, out, 1) if into != out else nn.Identity()

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        new = self.conv1(functional.silu(self.norm1(h))) + self.shift(condition)[:, :, None, None]
        new = self.conv2(functional.silu(self.norm2(new)))
        added: Tensor = new + self.around(h)
        return added


def group_norm(channels: int) -> nn.GroupNorm:
    """Groups of at least 4 channels, 8 groups at most."""
    return nn.GroupNorm(math.gcd(8, max(channels // 4, 1)) if channels % 4 == 0 else 1, channels)


def time_features(timesteps: int) -> NDArray[np.float64]:
    """Sines and cosines of t = 0, 1, …, T, shape (T + 1, `TIME_FEATURES`), as if T were 1000.

    Source: Ho, Jain and Abbeel 2020 (arXiv:2006.11239), appendix B, after Vaswani et al. 2017.
    """
    half = TIME_FEATURES // 2
    angles = np.arange(timesteps + 1)[:, None] * (1000 / timesteps) * 1e-4 ** (np.arange(half) / half)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
