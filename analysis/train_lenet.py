"""Trains the LeNet-5 of the MNIST that madray ships, and says how well it does.

    python analysis/train_lenet.py --data FOLDER

FOLDER (or MADRAY_DATA) holds the MNIST in torchvision's layout. Writes lenet5.safetensors and lenet5.json
into madray/metrics/, in some minutes on one thread; on one kind of CPU with the same versions of packages,
the same bytes. Weights with another digest than `DIGEST` in madray/metrics/mnist_lenet.py are refused when
they are loaded: who means to change them sets it, and raises the `version` of `LeNet` and `LabelAccuracy`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

import madray.metrics
from madray.metrics.lenet import accuracy, train_lenet
from madray.metrics.mnist_lenet import DIGEST, FIT, WEIGHTS
from madray.references.torchvision import read_torchvision
from madray.samples import SampleSet
from madray.spec.references import MNIST
from madray.streams import Stream

SHIFTS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
"""Each image is trained on in its place, and one pixel off in all directions."""
EPOCHS, BATCH, LEARNING_RATE = 2, 64, 2e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("MADRAY_DATA"), help="holds MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path(madray.metrics.__file__).parent)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train, test = (read_torchvision(MNIST(split=split), options.data) for split in ("train", "test"))
    network = train_lenet(
        SampleSet.concat([shifted(train, *shift) for shift in SHIFTS]),
        classes=10,
        stream=Stream.of("lenet5", options.seed),
        epochs=EPOCHS,
        batch=BATCH,
        learning_rate=LEARNING_RATE,
    )
    weights = save(network.state_dict())
    told = {
        "trained_on": f"the {len(train)} training images of the MNIST, each in {len(SHIFTS)} places",
        "seed": options.seed,
        "epochs": EPOCHS,
        "batch": BATCH,
        "learning_rate": LEARNING_RATE,
        "train_accuracy": accuracy(network, train),
        "test_accuracy": accuracy(network, test),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "versions": {
            "madray": madray.__version__,
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "torch": version("torch"),
        },
    }
    (options.out / WEIGHTS).write_bytes(weights)
    (options.out / FIT).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))
    if told["sha256"] != DIGEST:
        print("other weights than those that results are named after: see the top of this file")


def shifted(samples: SampleSet, down: int, right: int) -> SampleSet:
    """The images moved by some pixels; what leaves on one side comes in on the other, which is empty."""
    values = np.roll(samples.values, (down, right), axis=(2, 3))
    return SampleSet(values, samples.labels, samples.classes)


if __name__ == "__main__":
    main()
