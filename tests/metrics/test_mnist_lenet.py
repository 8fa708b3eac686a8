"""The LeNet-5 that madray ships: its weights are those of its record, and its features those of a sweep."""

from __future__ import annotations

import hashlib
import json
import os
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from handwritten import handwritten

from madray.errors import BadInput, Damaged
from madray.metrics import mnist_lenet as shipped
from madray.metrics.features import extract
from madray.metrics.lenet import PASS, accuracy, activations
from madray.samples import SampleSet
from madray.spec.metrics import Identity, LabelAccuracy, LeNet, check_shape
from madray.spec.references import MNIST

pytestmark = pytest.mark.usefixtures("one_thread")

SAMPLES = handwritten(PASS + 20)
FOLDER = files("madray.metrics")

WEIGHTS_OF_VERSION = {
    1: "8c6dc8321fd0fe67e9263391f5cd77605dee4e7deb1fb10f7a58b96118a01eef",
}
"""Which weights stand behind each version in the keys of measurements. A line once written stays as it is."""


def test_the_digest_of_the_weights_is_that_of_their_record() -> None:
    found = hashlib.sha256((FOLDER / shipped.WEIGHTS).read_bytes()).hexdigest()
    assert found == json.loads((FOLDER / shipped.FIT).read_text("utf-8"))["sha256"] == shipped.DIGEST


def test_a_version_in_keys_names_the_weights() -> None:
    assert WEIGHTS_OF_VERSION[LeNet.version] == shipped.DIGEST
    assert WEIGHTS_OF_VERSION[LabelAccuracy.version] == shipped.DIGEST


def test_the_record_says_how_good_the_network_is() -> None:
    told = json.loads((FOLDER / shipped.FIT).read_text("utf-8"))
    assert told["test_accuracy"] >= 0.985
    assert {"seed", "epochs", "train_accuracy", "versions"} <= set(told)


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "DIGEST", "0" * 64)
    with pytest.raises(
        Damaged, match=r"expected lenet5\.safetensors with the digest 000000000000…, got \w{12}…"
    ):
        shipped.mnist_lenet.__wrapped__()


def test_features_are_the_84_activations_before_the_output() -> None:
    features = extract(LeNet(), SAMPLES)
    assert features.shape == (len(SAMPLES), 84)
    assert features.dtype == np.float32
    assert features.min() == 0
    output = shipped.mnist_lenet().output
    logits = features @ output.weight.detach().numpy().T + output.bias.detach().numpy()
    np.testing.assert_allclose(logits, activations(shipped.mnist_lenet(), SAMPLES), rtol=1e-4, atol=1e-4)


def test_features_do_not_depend_on_how_many_samples_there_are() -> None:
    whole = extract(LeNet(), SAMPLES)
    for n in (1, 10, PASS, PASS + 1):
        np.testing.assert_array_equal(extract(LeNet(), SAMPLES.head(n)), whole[:n])


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 8, 8), (784,)])
def test_samples_of_another_shape_are_refused_in_one_line(shape: tuple[int, ...]) -> None:
    told = r"^expected samples of shape \(1, 28, 28\) for lenet, got \(.*\); try a reference of grey .*$"
    with pytest.raises(BadInput, match=told):
        check_shape(LeNet(), shape)
    with pytest.raises(BadInput, match=told):
        extract(LeNet(), SampleSet(np.zeros((2, *shape), np.uint8)))
    check_shape(Identity(), shape)


def test_numbers_that_are_no_bytes_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^expected images of bytes for lenet, got float32$"):
        extract(LeNet(), SampleSet(np.zeros((2, 1, 28, 28), np.float32)))


@pytest.mark.skipif("MADRAY_DATA" not in os.environ, reason="MADRAY_DATA names no folder with the real MNIST")
def test_the_real_test_images_are_told_apart() -> None:
    from madray.references.torchvision import read_torchvision

    data = Path(os.environ["MADRAY_DATA"])
    if not (data / "MNIST" / "raw").is_dir():
        pytest.skip("MADRAY_DATA has no MNIST/raw")
    test = read_torchvision(MNIST(split="test"), data)
    told = json.loads((FOLDER / shipped.FIT).read_text("utf-8"))
    # The last bits of a pass are not the same on every machine, and an image or two may lie on an edge.
    assert accuracy(shipped.mnist_lenet(), test) == pytest.approx(told["test_accuracy"], abs=2e-4)
    assert accuracy(shipped.mnist_lenet(), test) >= 0.985
