"""Every family keeps the contract, and the contract refuses generators that break it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from madray.generators.gaussian import GaussianGenerator
from madray.generators.protocol import build_generator
from madray.samples import SampleSet
from madray.spec.generators import DDPM, GMM, WGANGP, Flow, Gaussian, Generator
from madray.streams import Stream
from madray.testing import BrokenLaw, check_generator


def vectors(n: int = 60, *, labelled: bool = False) -> SampleSet:
    numbers = Stream.of("test", "vectors").numpy()
    values = (numbers.normal(size=(n, 2)) * [1, 3] + 5).astype(np.float32)
    return SampleSet(values, np.arange(n, dtype=np.int64) % 3, 3) if labelled else SampleSet(values)


def constant_column(n: int = 60) -> SampleSet:
    values = vectors(n).values.copy()
    values[:, 1] = 7
    return SampleSet(values)


def images(size: int, n: int = 40, *, channels: int = 1) -> SampleSet:
    numbers = Stream.of("test", "images", size).numpy()
    values = numbers.integers(0, 256, size=(n, channels, size, size), dtype=np.uint8)
    return SampleSet(values, np.arange(n, dtype=np.int64) % 4, 4)


SMALL = {"timesteps": 6, "steps": 12, "warmup": 2, "width": 16, "depth": 2, "batch": 8}
SMALL_WGAN = {"width": 4, "latent": 8, "steps": 5, "batch": 6}
SMALL_FLOW = {"layers": 3, "width": 16, "epochs": 3, "batch": 16}
CASES: dict[str, tuple[Generator, SampleSet]] = {
    "gaussian on vectors": (Gaussian(), vectors()),
    "gaussian on images": (Gaussian(), images(4)),
    "gmm on vectors": (GMM(components=3), vectors()),
    "gmm, spherical": (GMM(components=2, covariance="spherical"), vectors()),
    "gmm, tied": (GMM(components=2, covariance="tied"), vectors()),
    "gmm, diag": (GMM(components=2, covariance="diag"), vectors()),
    "gmm on images": (GMM(components=2, covariance="diag"), images(4)),
    "ddpm on vectors": (DDPM(**SMALL), vectors()),
    "ddpm on labelled vectors": (DDPM(**SMALL), vectors(labelled=True)),
    "ddpm on 8 × 8": (DDPM(**SMALL), images(8)),
    "ddpm on 8 × 8, linear, β̃": (DDPM(**SMALL, schedule="linear", posterior_variance="posterior"), images(8)),
    "ddpm on 16 × 16": (DDPM(**SMALL), images(16, 16)),
    "ddpm on 13 × 13, one level, patches of 4": (DDPM(**{**SMALL, "depth": 1}, patch=4), images(13, 16)),
    "ddpm on 13 × 13, three levels, by DDIM": (DDPM(**{**SMALL, "depth": 3}, ddim_steps=3), images(13, 16)),
    "flow on vectors": (Flow(**SMALL_FLOW), vectors()),
    "flow on labelled vectors": (Flow(**SMALL_FLOW, held_out=0.0), vectors(labelled=True)),
    "flow on a constant column": (Flow(**SMALL_FLOW), constant_column()),
    "ddpm on colour": (DDPM(**SMALL), images(12, 16, channels=3)),
    "wgan_gp on 8 × 8": (WGANGP(**SMALL_WGAN), images(8)),
    "wgan_gp on colour, averaged": (WGANGP(**SMALL_WGAN, ema=0.9), images(13, channels=3)),
}


@pytest.mark.parametrize("case", list(CASES))
def test_every_family_keeps_the_contract(case: str) -> None:
    settings, samples = CASES[case]
    check_generator(lambda: build_generator(settings), samples)


class Breaking:
    """A Gaussian with one thing wrong."""

    def __init__(self, wrong: str) -> None:
        self.wrong = wrong
        self.inner = GaussianGenerator(Gaussian())
        self.classes = None

    def fit(self, samples, *, stream, checkpoint, progress):
        if self.wrong == "refuses collapse" and len(np.unique(samples.values, axis=0)) == 1:
            raise ValueError("singular")
        walked, done = 0.0, 0
        if (found := checkpoint.restore()) is not None:
            done, walked = found[0], float(found[1]["walked"])
        if self.wrong == "forgets at a stop":
            walked = 0.0
        for step in range(done, 5):
            walked += float(stream.child(step).numpy().normal())
            state = {"walked": np.array(walked)}
            checkpoint.offer(step + 1, lambda state=state: state)
        if self.wrong == "touches global states":
            np.random.random()  # noqa: NPY002
        self.inner.fit(samples, stream=stream, checkpoint=checkpoint, progress=progress)
        self.inner.mean = self.inner.mean + walked
        if self.wrong == "fits by chance":
            self.inner.mean = self.inner.mean + np.random.default_rng().random()
        self.mean = self.inner.mean + (1.0 if self.wrong == "is biased" else 0.0)

    def sample(self, n, *, bias, stream, labels):
        if self.wrong == "samples by chance":
            stream = Stream.of("chance", int(np.random.default_rng().integers(1 << 60)))
        if self.wrong == "ignores the stream":
            stream = Stream.of("always")
        made = self.inner.sample(n, bias=bias, stream=stream, labels=None)
        return SampleSet(made.values[:, :1]) if self.wrong == "another shape" else made

    def save(self, folder: Path) -> None:
        self.inner.save(folder)
        (folder / "mean.json").write_text(json.dumps(self.mean.tolist()))
        if self.wrong == "pickles":
            (folder / "weights.pkl").write_bytes(b"")

    def load(self, folder: Path) -> None:
        self.inner.load(folder)
        self.mean = np.array(json.loads((folder / "mean.json").read_text()))
        if self.wrong == "loads another model":
            self.inner.mean = self.inner.mean + 1


BROKEN = {
    "refuses collapse": "is a result, not an error",
    "forgets at a stop": "equals one never stopped",
    "touches global states": "leave global random states alone",
    "fits by chance": "a fit with the same stream",
    "is biased": "is unbiased",
    "samples by chance": "with the same stream|the same stream again",
    "ignores the stream": "another stream gives other samples",
    "another shape": "shape of the training set",
    "pickles": "safetensors and JSON",
    "loads another model": r"load\(save\) samples identically",
}


def test_a_generator_with_nothing_wrong_is_not_refused() -> None:
    check_generator(lambda: Breaking(""), vectors())


@pytest.mark.parametrize("wrong", list(BROKEN))
def test_a_generator_that_breaks_a_law_is_refused_by_that_law(wrong: str) -> None:
    with pytest.raises(BrokenLaw, match=BROKEN[wrong]):
        check_generator(lambda: Breaking(wrong), vectors())
