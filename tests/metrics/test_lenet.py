"""LeNet-5: its layers, its training from a named stream, and passes whose rows do not know how many they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from handwritten import handwritten

from madray.metrics.lenet import PASS, accuracy, activations, train_lenet
from madray.samples import SampleSet
from madray.streams import Stream

pytestmark = pytest.mark.usefixtures("one_thread")

SAMPLES = handwritten(PASS + 50)


def trained(samples: SampleSet, *, stream: str = "lenet", epochs: int = 2) -> torch.nn.Sequential:
    return train_lenet(
        samples, classes=10, stream=Stream.of(stream), epochs=epochs, batch=32, learning_rate=2e-3
    )


def weights_of(network: torch.nn.Module) -> list[list[float]]:
    return [weights.flatten().tolist() for weights in network.parameters()]


@pytest.fixture(scope="module")
def network(one_thread: None) -> torch.nn.Sequential:
    return trained(SAMPLES)


def test_the_layers_are_those_of_the_paper(network: torch.nn.Sequential) -> None:
    shapes = {name: tuple(weights.shape) for name, weights in network.named_parameters() if weights.ndim > 1}
    assert shapes == {
        "c1.weight": (6, 1, 5, 5),
        "c3.weight": (16, 6, 5, 5),
        "c5.weight": (120, 400),
        "f6.weight": (84, 120),
        "output.weight": (10, 84),
    }


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 1, 1), (1, 12, 12), (2, 11, 40), (1, 29, 31)])
def test_images_of_any_size_have_a_network(shape: tuple[int, ...]) -> None:
    samples = SampleSet(np.zeros((3, *shape), np.uint8), np.array([0, 2, 4]), 5)
    network = train_lenet(samples, classes=5, stream=Stream.of(0), epochs=1, batch=2, learning_rate=1e-3)
    assert activations(network, samples).shape == (3, 5)


def test_a_row_does_not_depend_on_how_many_there_are(network: torch.nn.Sequential) -> None:
    whole = activations(network, SAMPLES)
    assert whole.shape == (len(SAMPLES), 10)
    for n in (1, 7, PASS - 1, PASS, PASS + 1):
        np.testing.assert_array_equal(activations(network, SAMPLES.head(n)), whole[:n])


def test_activations_are_those_of_pixels_in_0_to_1(network: torch.nn.Sequential) -> None:
    pixels = torch.from_numpy(SAMPLES.flat().reshape(-1, 1, 28, 28))
    with torch.no_grad():
        expected = network(pixels).numpy()
    np.testing.assert_allclose(activations(network, SAMPLES), expected, rtol=1e-4, atol=1e-4)


def test_training_learns_and_more_of_it_learns_more(network: torch.nn.Sequential) -> None:
    few, many = accuracy(network, SAMPLES), accuracy(trained(SAMPLES, epochs=10), SAMPLES)
    assert 0.3 < few < many
    assert many > 0.95


def test_one_stream_makes_one_network_and_another_stream_another(network: torch.nn.Sequential) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert weights_of(trained(SAMPLES)) == weights_of(network)
    assert weights_of(trained(SAMPLES, stream="other")) != weights_of(network)
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn from torch's global generator


def test_accuracy_is_the_share_of_labels_that_are_found(network: torch.nn.Sequential) -> None:
    found = activations(network, SAMPLES).argmax(axis=1)
    assert accuracy(network, SampleSet(SAMPLES.values, found, 10)) == 1
    turned = np.where(np.arange(len(found)) < 51, (found + 1) % 10, found)
    assert accuracy(network, SampleSet(SAMPLES.values, turned, 10)) == 1 - 51 / len(found)
