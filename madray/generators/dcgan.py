"""The two networks of a GAN on images, after DCGAN: one makes images of noise, the other judges them.

Each level has half the height and width of the one above, and twice its channels. From level to level go
convolutions of 4 × 4 with stride 2, or transposed ones. Between an image and its first level they are written
as what they are over blocks of 2 × 2 pixels: convolutions of 2 × 2 with stride 1. The maps are the same, but
with few colours a CPU computes derivatives along the image four times as fast.

Neither network normalises anything: no image depends on those that are made or judged with it.

Source: Radford et al. 2016 (arXiv:1511.06434), without its normalisation, as Gulrajani et al. 2017
(arXiv:1704.00028) take it for MNIST, with `width` 64 and kernels of 5 × 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALLEST = 4
"""Images are halved until their longer side is this, or less."""

MOST = 8
"""How many times the channels of the first level a level has at most."""


def sides(height: int, width: int) -> list[tuple[int, int]]:
    """Height and width of an image and of each level below it, which is half as large, rounded up.

    >>> sides(28, 28)
    [(28, 28), (14, 14), (7, 7), (4, 4)]
    >>> sides(3, 5)
    [(3, 5), (2, 3)]
    """
    found = [(height, width)]
    while len(found) == 1 or max(found[-1]) > SMALLEST:
        high, wide = found[-1]
        found.append((-(-high // 2), -(-wide // 2)))
    return found


def channels(width: int, levels: int) -> list[int]:
    """Of each level, the first one first.

    >>> channels(64, 5)
    [64, 128, 256, 512, 512]
    """
    return [width * min(2**level, MOST) for level in range(levels)]


class LatentToImage(nn.Module):
    """G(z): a linear map to the smallest level, and transposed convolutions up to an image in (−1, 1).

    Args:
        latent: numbers of z.
        shape: of an image: channels, height, width.
        width: channels of the first level.
    """

    def __init__(self, latent: int, shape: Sequence[int], *, width: int) -> None:
        super().__init__()
        self._sides = sides(*shape[1:])[::-1]
        deep = channels(width, len(self._sides) - 1)[::-1]
        self._deepest = deep[0]
        # Built without memory, and so without a draw from torch's global generator; `Weights` fills it.
        with torch.device("meta"):
            self.first = nn.Linear(latent, deep[0] * math.prod(self._sides[0]))
            self.grow = nn.ModuleList(
                nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(deep)
            )
            self.last = nn.Conv2d(deep[-1], 4 * shape[0], 2, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Images, shape (n, *shape), of z, shape (n, latent)."""
        high, wide = self._sides[0]
        # Channels lie last, as convolutions like them best.
        h = functional.relu(self.first(z).view(-1, high, wide, self._deepest).permute(0, 3, 1, 2))
        for grow, (high, wide) in zip(self.grow, self._sides[1:-1], strict=True):
            h = functional.relu(grow(h)[..., :high, :wide])
        high, wide = self._sides[-1]
        blocks = functional.pixel_shuffle(self.last(h), 2)
        return torch.tanh(blocks[..., 1 : 1 + high, 1 : 1 + wide])


class Critic(nn.Module):
    """D(x): convolutions down to the smallest level, and a linear map to one number.

    The last map has no bias: losses hold differences of D alone, and Adam would walk it by rounding errors.

    Args:
        shape: of an image: channels, height, width.
        width: channels of the first level.
    """

    def __init__(self, shape: Sequence[int], *, width: int) -> None:
        super().__init__()
        levels = sides(*shape[1:])[1:]
        deep = channels(width, len(levels))
        with torch.device("meta"):
            self.first = nn.Conv2d(4 * shape[0], width, 2)
            self.shrink = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(deep))
            self.last = nn.Linear(deep[-1] * math.prod(levels[-1]), 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """A number for each image, shape (n,), of x, shape (n, *shape)."""
        blocks = functional.pixel_unshuffle(_even(x, around=1), 2)
        h = leaky(self.first(blocks.contiguous(memory_format=torch.channels_last)))
        for shrink in self.shrink:
            h = leaky(shrink(_even(h, around=0)))
        judged: Tensor = self.last(h.flatten(1))
        return judged[:, 0]


def _even(h: Tensor, *, around: int) -> Tensor:
    """h with that many zeros around, and one more line or column where it had an odd number of them."""
    high, wide = h.shape[-2:]
    if not (around or high % 2 or wide % 2):
        return h
    return functional.pad(h, (around, around + wide % 2, around, around + high % 2))


def leaky(h: Tensor) -> Tensor:
    """h where it is positive, h / 5 where it is negative.

    To autograd this is a product with a constant. The second derivative of torch's own, which is 0 wherever
    there is one, would be carried through the whole network.

    >>> leaky(torch.tensor([2.0, -5.0])).round(decimals=6).tolist()
    [2.0, -1.0]
    """
    return h * torch.sign(h.detach()).mul_(0.4).add_(0.6)


def initialise(network: LatentToImage | Critic, generator: torch.Generator) -> None:
    """Draw first weights: uniform around 0, of variance 2 / (how many inputs meet in a number); biases are 0.

    Args:
        network: one whose parameters are 0.
        generator: on the CPU, so that every device starts from the same weights.

    Source: He et al. 2015 (arXiv:1502.01852), eq. 10.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            weight = layer.weight
            # Of a transposed convolution's 4 × 4 weights, stride 2 lets 2 × 2 meet in a number.
            transposed = isinstance(layer, nn.ConvTranspose2d)
            inputs = weight[:, 0].numel() // 4 if transposed else weight[0].numel()
            bound = (6 / inputs) ** 0.5
            drawn = torch.rand(weight.shape, generator=generator).mul_(2 * bound).sub_(bound)
            weight.data.copy_(drawn)
