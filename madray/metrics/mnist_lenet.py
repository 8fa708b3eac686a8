"""The LeNet-5 of the MNIST that madray ships: the features of digits, and who tells their labels.

Everyone's numbers compare because everyone has these weights: `lenet5.safetensors` lies beside this module,
and `lenet5.json` says how it was trained and how well it does. `analysis/train_lenet.py` made both.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from madray.errors import BadInput, Damaged
from madray.metrics.lenet import activations, lenet5
from madray.samples import SampleSet
from madray.spec.metrics import MNIST_SHAPE, check_shape

if TYPE_CHECKING:
    from torch import nn

    from madray.spec import metrics as spec

WEIGHTS = "lenet5.safetensors"
FIT = "lenet5.json"

DIGEST = "8c6dc8321fd0fe67e9263391f5cd77605dee4e7deb1fb10f7a58b96118a01eef"
"""The SHA-256 of the file of weights."""


@lru_cache(maxsize=1)
def mnist_lenet() -> nn.Sequential:
    """The network with its weights, once a process.

    Raises: Damaged, if the weights are not those that results are named after.
    """
    from safetensors.torch import load

    data = (files("madray.metrics") / WEIGHTS).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != DIGEST:
        raise Damaged(
            f"expected {WEIGHTS} with the digest {DIGEST[:12]}…, got {found[:12]}…, "
            "try installing madray again"
        )
    network = lenet5(MNIST_SHAPE, 10)
    network.load_state_dict(load(data))
    return network


def extract_lenet(settings: spec.LeNet, samples: SampleSet) -> NDArray[np.float32]:
    """The activations of F6 for each image, shape (n, 84), each 0 or more.

    F6 is the last layer before the classes: what the output tells them apart by. It stands where the pooled
    layer of Inception stands in the FID of photographs (Heusel et al. 2017), and has few enough dimensions
    for a covariance and for neighbours among some thousand samples.

    Raises: BadInput, if the samples are not images of 28 × 28 bytes in one channel.
    """
    check_shape(settings, samples.shape)
    if not samples.is_image:
        raise BadInput(f"expected images of bytes for {settings.kind}, got {samples.values.dtype}")
    return activations(mnist_lenet()[:-1], samples)
