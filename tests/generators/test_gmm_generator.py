"""Gaussian mixtures: recovery, and what λ does to a component."""

from __future__ import annotations

import numpy as np
import pytest

from madray.generators.gmm import GMMGenerator
from madray.generators.protocol import NO_CHECKPOINT, no_progress
from madray.samples import SampleSet
from madray.spec.generators import GMM
from madray.streams import Stream

CENTRES = np.array([[0.0, 0.0], [20.0, 0.0]])


def fitted(**settings: object) -> GMMGenerator:
    numbers = Stream.of("gmm").numpy()
    values = np.concatenate([centre + numbers.normal(size=(400, 2)) for centre in CENTRES]).astype(np.float32)
    generator = GMMGenerator(GMM(components=2, **settings))
    generator.fit(SampleSet(values), stream=Stream.of(1), checkpoint=NO_CHECKPOINT, progress=no_progress)
    return generator


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_lambda_scales_every_component_about_its_own_centre(covariance: str) -> None:
    model = fitted(covariance=covariance)
    draws = {
        bias: model.sample(200, bias=bias, stream=Stream.of("same"), labels=None).values.astype(np.float64)
        for bias in (1.0, 0.25, 0.0)
    }
    centres = draws[0.0]
    assert len({tuple(centre) for centre in np.round(centres, 3)}) == 2
    assert np.abs(centres[:, None] - model.means).max(axis=2).min(axis=1) == pytest.approx(0, abs=1e-5)
    assert draws[0.25] - centres == pytest.approx((draws[1.0] - centres) / 2, abs=1e-4)


def test_the_components_are_found() -> None:
    """Each mean of 400 points has a standard error of 0.05; six of them by chance: 2e-9 a coordinate."""
    model = fitted()
    means = model.means[np.argsort(model.means[:, 0])]
    assert means == pytest.approx(CENTRES, abs=0.3)
    assert model.weights == pytest.approx([0.5, 0.5], abs=1e-3)


def test_fewer_points_than_components_give_as_many_components() -> None:
    generator = GMMGenerator(GMM(components=25))
    points = SampleSet(np.float32([[0, 0], [1, 1], [1, 1], [5, 0]]))
    generator.fit(points, stream=Stream.of(1), checkpoint=NO_CHECKPOINT, progress=no_progress)
    assert len(generator.weights) == 3
