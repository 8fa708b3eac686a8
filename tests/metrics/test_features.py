"""From samples to features, with extractors of ours and of the user's own."""

import numpy as np
import pytest

from madray.errors import BadInput
from madray.metrics.features import extract, identity
from madray.samples import SampleSet
from madray.spec.metrics import Identity, ImportedExtractor

SAMPLES = SampleSet(np.arange(12, dtype=np.float32).reshape(4, 3))

OWN = """
import numpy as np

class Scaled:
    version = 1
    def __init__(self, by=1.0):
        self.by = by
    def __call__(self, samples):
        return self.by * samples.flat().astype(np.float64)

class Flat:
    def __call__(self, samples):
        return samples.flat().ravel()

class Half:
    def __call__(self, samples):
        return samples.flat()[::2]

class Broken:
    def __call__(self, samples):
        return samples.flat() + np.where(np.arange(len(samples)) == 2, np.inf, 0)[:, None]

class Words:
    def __call__(self, samples):
        return np.full((len(samples), 1), "a")

class TooLarge:
    def __call__(self, samples):
        return np.full((len(samples), 1), 1e300)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_extractors.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))

    def settings(name: str, **fields) -> ImportedExtractor:
        return ImportedExtractor(kind=f"own_extractors:{name}", **fields)

    return settings


def test_vectors_are_their_own_features():
    found = extract(Identity(), SAMPLES)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, SAMPLES.values)


def test_images_are_vectors_of_0_to_1():
    images = SampleSet(np.full((2, 3, 4, 4), 51, np.uint8))
    np.testing.assert_array_equal(identity(images), np.full((2, 48), np.float32(0.2)))
    np.testing.assert_array_equal(extract(Identity(), images), identity(images))


def test_an_extractor_of_ones_own_is_built_with_its_settings_and_called_with_samples(own):
    found = extract(own("Scaled", by=2.0), SAMPLES)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, 2 * SAMPLES.values)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Flat", r"to be numbers of shape \(n, d\), got float32 of shape \(12,\), try features.reshape"),
        ("Half", r"expected 4 rows of features, got 2, try one a sample"),
        ("Broken", r"got NaN or infinity in 1 of 4 rows \(the first: 2\), try"),
        ("Words", r"to be numbers of shape \(n, d\), got <U1"),
        ("TooLarge", r"got NaN or infinity in 4 of 4 rows"),
    ],
)
def test_what_are_no_features_is_refused_with_the_extractors_name(own, name, told):
    with pytest.raises(BadInput, match=rf"extractor own_extractors:{name}: .*{told}"):
        extract(own(name), SAMPLES)
