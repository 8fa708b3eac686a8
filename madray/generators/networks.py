"""Networks that a denoiser is made of: an MLP for vectors and small images, a small U-Net for larger ones.

Each answers in two parts: what it sees of z without the label, and what it makes of that with it. Guidance
asks for two labels of one z, and pays for the first part once.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

TIME_FEATURES = 64
"""How many numbers tell a network the time."""

Seen = tuple[Tensor, ...]
"""What a network saw of n inputs: tensors whose first dimension is n."""


class Network(Protocol):
    """F(z, time, condition) = decode(encode(z, time), condition).

    Attributes:
        told: how many numbers a condition is.
        at_once: how many samples a CPU makes fastest together, so that all they need stays in its caches.
    """

    told: int
    at_once: int

    def encode(self, z: Tensor, time: Tensor) -> Seen:
        """What is seen of z, shape (n, *shape), at times of shape (n or 1, `TIME_FEATURES`)."""

    def decode(self, seen: Seen, condition: Tensor) -> Tensor:
        """F, shape (n, *shape). The condition, shape (n, `told`), is a linear map of the time's features and
        the class."""


class MLP(nn.Module):
    """Hidden layers of one width, with SiLU; the condition is a bias of the first."""

    at_once = 1 << 30

    def __init__(self, shape: tuple[int, ...], width: int, depth: int) -> None:
        super().__init__()
        self.told, self._shape = width, shape
        self.first = nn.Linear(math.prod(shape), width, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.last = nn.Linear(width, math.prod(shape))

    def encode(self, z: Tensor, time: Tensor) -> Seen:
        """The first layer without its bias."""
        return (self.first(z.flatten(1)),)

    def decode(self, seen: Seen, condition: Tensor) -> Tensor:
        """All else."""
        h = functional.silu(seen[0] + condition)
        for layer in self.hidden:
            h = functional.silu(layer(h))
        made: Tensor = self.last(h)
        return made.view(-1, *self._shape)


class UNet(nn.Module):
    """A U-Net of residual blocks over patches of pixels. On its way down it sees no label.

    Patches of `patch` × `patch` pixels become the channels of one position, so that nothing is computed at
    the size of the image itself. Level l has min(2^l, 4) times the channels of the first, at half the size of
    the level above (rounded up, so that any size will do): two blocks on the way down, one on the way up, and
    two at the bottom. MNIST with patches of 2, two levels and 64 channels takes 0.28 GFLOP an evaluation.
    """

    at_once = 50

    def __init__(self, shape: tuple[int, ...], *, patch: int, channels: int, depth: int) -> None:
        super().__init__()
        colours, *self._size = shape
        self._patch = patch
        self.told = told = 4 * channels
        widths = [channels * min(2**level, 4) for level in range(depth)]
        steps = list(pairwise(widths))
        self.when = nn.Linear(TIME_FEATURES, told)
        self.first = nn.Conv2d(colours * patch**2, channels, 3, padding=1)
        self.down = nn.ModuleList(Block(width, width, told) for width in widths for _ in range(2))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps)
        self.bottom = nn.ModuleList(Block(widths[-1], widths[-1], told) for _ in range(2))
        self.up = nn.ModuleList(Block(2 * width, width, told) for width in reversed(widths))
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(steps))
        self.norm = group_norm(channels)
        self.last = nn.Conv2d(channels, colours * patch**2, 3, padding=1)

    def encode(self, z: Tensor, time: Tensor) -> Seen:
        """What goes across at each level, the uppermost first; the last goes to the bottom as well."""
        high, wide = (-size % self._patch for size in self._size)
        h = self.first(functional.pixel_unshuffle(functional.pad(z, (0, wide, 0, high)), self._patch))
        condition = functional.silu(self.when(time))
        across: list[Tensor] = []
        for place, block in enumerate(self.down):
            level, second = divmod(place, 2)
            if level and not second:
                h = self.shrink[level - 1](h)
            h = block(h, condition)
            if second:
                across.append(h)
        return tuple(across)

    def decode(self, seen: Seen, condition: Tensor) -> Tensor:
        """The bottom, and the way up."""
        condition = functional.silu(condition)
        h = seen[-1]
        for block in self.bottom:
            h = block(h, condition)
        for level, (block, across) in enumerate(zip(self.up, reversed(seen), strict=True)):
            if level:
                h = functional.interpolate(self.grow[level - 1](h), size=across.shape[-2:])
            h = block(torch.cat([h, across], dim=1), condition)
        made = functional.pixel_shuffle(self.last(functional.silu(self.norm(h))), self._patch)
        high, wide = self._size
        return made[..., :high, :wide]


class Block(nn.Module):
    """Two convolutions and a way around them; the condition scales and shifts the channels in between.

    Source: Dhariwal and Nichol 2021 (arXiv:2105.05233), section 3.
    """

    def __init__(self, into: int, out: int, told: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(into), group_norm(out)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.modulate = nn.Linear(told, 2 * out)
        self.around = nn.Conv2d(into, out, 1) if into != out else nn.Identity()

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
        new = self.norm2(self.conv1(functional.silu(self.norm1(h))))
        new = self.conv2(functional.silu(torch.addcmul(new + shift, new, scale)))
        added: Tensor = new + self.around(h)
        return added


def group_norm(channels: int) -> nn.GroupNorm:
    """Groups of at least 4 channels, 8 groups at most."""
    return nn.GroupNorm(math.gcd(8, max(channels // 4, 1)) if channels % 4 == 0 else 1, channels)
