"""The Gaussian family against its closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from madray.generators.gaussian import GaussianGenerator
from madray.generators.protocol import NO_CHECKPOINT, no_progress, sample
from madray.samples import SampleSet
from madray.spec.generators import Gaussian
from madray.streams import Stream


def fitted(samples: SampleSet) -> GaussianGenerator:
    generator = GaussianGenerator(Gaussian())
    generator.fit(samples, stream=Stream.of(0), checkpoint=NO_CHECKPOINT, progress=no_progress)
    return generator


def test_moments_are_numpys() -> None:
    values = Stream.of("g").numpy().normal(size=(50, 3)).astype(np.float32)
    model = fitted(SampleSet(values))
    assert model.mean == pytest.approx(values.astype(np.float64).mean(0), abs=1e-12)
    assert model.covariance == pytest.approx(np.cov(values.astype(np.float64), rowvar=False), abs=1e-12)


def test_lambda_scales_the_covariance_and_leaves_the_mean() -> None:
    model = fitted(SampleSet(np.float32([[0, 0], [2, 1], [1, 5], [3, 3]])))
    draw = {
        bias: model.sample(9, bias=bias, stream=Stream.of("same"), labels=None).values.astype(np.float64)
        for bias in (1.0, 0.25, 0.0)
    }
    # Of one stream, samples at λ are μ + √λ (x − μ).
    assert draw[0.25] - model.mean == pytest.approx((draw[1.0] - model.mean) / 2, abs=1e-5)
    assert draw[0.0] == pytest.approx(np.tile(model.mean, (9, 1)), abs=1e-6)


def test_the_covariance_is_unbiased_over_many_small_fits() -> None:
    """E Σ̂ = Σ = 1 in one dimension with n = 5. The mean of 4,000 fits has a standard error of
    √(2/4/4000) = 0.0112; five of them are passed by chance with probability 6e-7."""
    numbers = Stream.of("unbiased").numpy().normal(size=(4000, 5, 1)).astype(np.float32)
    variances = [fitted(SampleSet(values)).covariance.item() for values in numbers]
    assert np.mean(variances) == pytest.approx(1, abs=5 * 0.0112)


def test_one_step_of_the_loop_keeps_the_expected_covariance() -> None:
    """The paper's Eq. 2, E[Σ_t | Σ_{t−1}] = λ Σ_{t−1}, in one dimension: n = 6, λ = 0.5. The standard error of
    the mean over 3,000 fits is 0.5 Σ √(2/5/3000) = 0.00577 Σ; five of them by chance: 6e-7."""
    model = fitted(SampleSet(np.float32([[0.0], [1.0], [4.0], [6.0]])))
    first = model.covariance.item()
    again = [
        fitted(sample(model, 6, chunk=6, bias=0.5, stream=Stream.of("step", i))).covariance.item()
        for i in range(3000)
    ]
    assert np.mean(again) == pytest.approx(0.5 * first, abs=5 * 0.00577 * first)


def test_one_sample_has_no_covariance() -> None:
    assert fitted(SampleSet(np.float32([[1, 2]]))).covariance.tolist() == [[0, 0], [0, 0]]


def test_images_are_sampled_as_images() -> None:
    values = Stream.of("images").numpy().integers(0, 256, size=(30, 1, 3, 3), dtype=np.uint8)
    made = fitted(SampleSet(values)).sample(7, bias=1.0, stream=Stream.of("x"), labels=None)
    assert (made.values.dtype, made.shape) == (np.uint8, (1, 3, 3))
