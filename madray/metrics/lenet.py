"""LeNet-5: a small convolutional network that tells images apart, its training and its passes.

    C1 6 maps, 5 × 5 (padded by 2) · S2 halves · C3 16 maps, 5 × 5 · S4 halves · C5 120 · F6 84 · output

The layers, their names and their sizes are those of LeCun et al. 1998, Figure 2. As usual today, units are
rectified linear, S2 and S4 take the maximum, C3 sees all maps of S2, and the output is linear. For 28 × 28
images in ten classes that makes 61,706 weights. Everything runs on the CPU, so that numbers compare.

Source: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from madray.samples import SampleSet
from madray.streams import Stream

if TYPE_CHECKING:
    from torch import Tensor, nn

PASS = 256
"""Images of a pass. Its bits change with this number, so the last images of a set are filled up to it."""

_SMALLEST = 12
"""Height and width that leave one unit of each map after S4."""


def lenet5(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """The network for images of a shape, with its weights yet to be set.

    An image with a side of less than 12 pixels is enlarged first, every pixel to a square: 8 × 8 to 16 × 16.

    Args:
        shape: channels, height, width.

    >>> network = lenet5((1, 28, 28), 10)
    >>> sum(weights.numel() for weights in network.parameters())
    61706
    """
    import torch
    from torch import nn

    colours, *sides = shape
    times = -(-_SMALLEST // min(sides))
    after = math.prod((times * side // 2 - 4) // 2 for side in sides)
    network = nn.Sequential()
    # Built without memory, and so without a draw from torch's global generator.
    with torch.device("meta"):
        if times > 1:
            network.add_module("enlarge", nn.Upsample(scale_factor=times))
        network.add_module("c1", nn.Conv2d(colours, 6, 5, padding=2))
        network.add_module("c1_relu", nn.ReLU())
        network.add_module("s2", nn.MaxPool2d(2))
        network.add_module("c3", nn.Conv2d(6, 16, 5))
        network.add_module("c3_relu", nn.ReLU())
        network.add_module("s4", nn.MaxPool2d(2))
        network.add_module("flat", nn.Flatten())
        network.add_module("c5", nn.Linear(16 * after, 120))
        network.add_module("c5_relu", nn.ReLU())
        network.add_module("f6", nn.Linear(120, 84))
        network.add_module("f6_relu", nn.ReLU())
        network.add_module("output", nn.Linear(84, classes))
    return network.to_empty(device="cpu")


def train_lenet(
    samples: SampleSet, *, classes: int, stream: Stream, epochs: int, batch: int, learning_rate: float
) -> nn.Sequential:
    """A LeNet-5 that was trained from scratch to tell the labels of images.

    Cross-entropy by Adam, whose learning rate falls to 0 along a line; every epoch goes through the images
    once, in an order of its own. First weights and orders come from the stream.

    Args:
        samples: images of bytes with labels in [0, classes).
        batch: images of a step; the last of an epoch takes what is left.
    """
    import torch
    from torch.nn import functional

    network = lenet5(samples.shape, classes)
    _initialise(network, stream.child("weights").torch())
    labels = torch.from_numpy(np.array(samples.labels))
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    steps = epochs * -(-len(samples) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for epoch in range(epochs):
        order = stream.child("order", epoch).numpy().permutation(len(samples))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            loss = functional.cross_entropy(network(_pixels(samples.values[chosen])), labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network


def activations(network: nn.Sequential, samples: SampleSet) -> NDArray[np.float32]:
    """What the last layer of a network, or of a part of one, makes of images: shape (n, units).

    A row depends on its image and its place in the set alone, not on how many there are.
    """
    import torch

    made = []
    with torch.inference_mode():
        for start in range(0, len(samples), PASS):
            values = samples.values[start : start + PASS]
            filled = np.zeros((PASS, *samples.shape), np.uint8)
            filled[: len(values)] = values
            made.append(network(_pixels(filled)).numpy()[: len(values)])
    return np.concatenate(made)


def accuracy(network: nn.Sequential, samples: SampleSet) -> float:
    """The share of images whose label is the class that the network finds most likely."""
    return float(np.mean(activations(network, samples).argmax(axis=1) == samples.labels))


def _pixels(values: NDArray[Any]) -> Tensor:
    """Bytes as the network sees them: in [0, 1], float32."""
    import torch

    return torch.from_numpy(values.astype(np.float32) / np.float32(255))


def _initialise(network: nn.Sequential, generator: Any) -> None:
    """Weights uniform within ±√(6 / inputs), which keeps the size of rectified units; biases 0.

    Source: He et al. 2015 (arXiv:1502.01852), eq. 10, of a uniform distribution.
    """
    import torch

    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim == 1:
                weights.zero_()
                continue
            bound = (6 / math.prod(weights.shape[1:])) ** 0.5
            weights.copy_(torch.rand(weights.shape, generator=generator).mul_(2 * bound).sub_(bound))
