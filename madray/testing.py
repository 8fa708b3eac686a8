"""The contract of generators as a test that needs no test framework: for our families, and for yours.

from madray.testing import check_generator
check_generator(lambda: MyVAE(latent=2), samples)
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madray.generators.protocol import Generator, NoCheckpoint, State, no_progress, sample, sample_chunk
from madray.samples import SampleSet
from madray.streams import Stream

CHUNK = 32
_FALSE_ALARM_SIGMA = 6.0
"""A check of a mean fails when it is off by more than six standard errors: 2e-9 a comparison by chance."""


class BrokenLaw(AssertionError):
    """A generator does not keep a law of the contract; the message names it."""


def check_generator(
    build: Callable[[], Generator], samples: SampleSet, *, stops: int = 3, biased_by: float = 0.5
) -> None:
    """Hold a generator to the laws of the contract. Give it small settings: it is fitted about a dozen times.

    Checked: the same stream gives the same result, another stream another one; load(save) samples
    identically, from files of safetensors and JSON alone; a fit stopped at any checkpoint and gone on equals
    one never stopped; fewer samples are the beginning of more, and chunks made apart equal chunks made
    together; samples have the training set's shape, dtype and classes, and the labels that were asked for;
    λ = 1 is unbiased, where the model says what it is: a `mean` is the mean of its samples, up to chance
    (one false alarm in 10⁸ runs); collapsed training sets are results; nothing touches global random states.

    Args:
        build: makes a generator that is not fitted, always with the same settings.
        samples: a training set, with labels where the generator is conditional.
        stops: at how many of its checkpoints a fit is stopped.
        biased_by: a λ below 1 that the generator takes.

    Raises: BrokenLaw, naming the law.

    >>> from madray.generators.gaussian import GaussianGenerator
    >>> from madray.spec.generators import Gaussian
    >>> points = SampleSet(np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32))
    >>> check_generator(lambda: GaussianGenerator(Gaussian()), points)
    """
    _drawn(
        _fit(build, samples, Stream.of("check", 0))
    )  # imports libraries, some of which draw while they load
    before = _global_states()
    fitted = _fit(build, samples, Stream.of("check", 1))
    _check_samples(fitted, samples)
    _check_streams(build, fitted, samples)
    _check_chunks(fitted, biased_by)
    _check_files(build, fitted)
    _check_stops(build, fitted, samples, stops)
    _check_unbiased(fitted, samples)
    _check_collapse(build, samples)
    _law("fit and sample leave global random states alone", _same_states(before, _global_states()))


def _fit(
    build: Callable[[], Generator], samples: SampleSet, stream: Stream, checkpoint: Any = None
) -> Generator:
    generator = build()
    generator.fit(samples, stream=stream, checkpoint=checkpoint or NoCheckpoint(), progress=no_progress)
    return generator


def _drawn(generator: Generator, n: int = CHUNK, *, bias: float = 1.0, name: str = "draw") -> SampleSet:
    return sample(generator, n, chunk=CHUNK, bias=bias, stream=Stream.of("check", name))


def _check_samples(fitted: Generator, samples: SampleSet) -> None:
    made = _drawn(fitted)
    _law("samples have the shape of the training set", made.shape == samples.shape)
    _law("samples have the dtype of the training set", made.values.dtype == samples.values.dtype)
    _law("samples are finite", bool(np.isfinite(made.values).all()))
    _law("classes are those of the training set, or None", fitted.classes in (None, samples.classes))
    _law("samples carry labels exactly where the model has classes", made.classes == fitted.classes)
    if fitted.classes is not None:
        labels = (np.arange(CHUNK) % fitted.classes).astype(np.int64)
        told = fitted.sample(CHUNK, bias=1.0, stream=Stream.of("check", "labels"), labels=labels)
        same = told.labels is not None and np.array_equal(told.labels, labels)
        _law("samples carry the labels that were asked for", bool(same))


def _check_streams(build: Callable[[], Generator], fitted: Generator, samples: SampleSet) -> None:
    again = _fit(build, samples, Stream.of("check", 1))
    _law("a fit with the same stream gives the same model", _equal(_drawn(fitted), _drawn(again)))
    _law("sampling the same stream again gives the same samples", _equal(_drawn(fitted), _drawn(fitted)))
    other = _drawn(fitted, name="another")
    _law("sampling another stream gives other samples", not _equal(_drawn(fitted), other))


def _check_chunks(fitted: Generator, biased_by: float) -> None:
    # Without classes there may be nothing to be guided by; a model that is conditional takes every λ.
    for bias in (1.0, biased_by) if _takes(fitted, biased_by) else (1.0,):
        many = _drawn(fitted, 2 * CHUNK + 5, bias=bias)
        few = _drawn(fitted, CHUNK + 3, bias=bias)
        _law("fewer samples are the beginning of more", _equal(few, many.head(len(few))))
        stream = Stream.of("check", "draw")
        apart = [sample_chunk(fitted, index, chunk=CHUNK, bias=bias, stream=stream) for index in (2, 0, 1)]
        together = SampleSet.concat([apart[1], apart[2], apart[0]]).head(len(many))
        _law("chunks made apart equal chunks made together", _equal(together, many))


def _takes(fitted: Generator, bias: float) -> bool:
    try:
        _drawn(fitted, bias=bias)
    except ValueError:
        return False
    return True


def _check_files(build: Callable[[], Generator], fitted: Generator) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fitted.save(folder)
        endings = {path.suffix for path in folder.rglob("*") if path.is_file()}
        _law("saved files are safetensors and JSON, nothing else", bool(endings) and endings <= _SAFE)
        loaded = build()
        loaded.load(folder)
    _law("load(save) has the same classes", loaded.classes == fitted.classes)
    _law("load(save) samples identically", _equal(_drawn(fitted, 40), _drawn(loaded, 40)))


def _check_stops(build: Callable[[], Generator], fitted: Generator, samples: SampleSet, stops: int) -> None:
    counted = _Stopping(None)
    _fit(build, samples, Stream.of("check", 1), counted)
    for stop in sorted({1 + place * (counted.offers - 1) // max(stops - 1, 1) for place in range(stops)}):
        if not counted.offers:
            return  # it is over before a checkpoint would be due
        checkpoint = _Stopping(stop)
        try:
            _fit(build, samples, Stream.of("check", 1), checkpoint)
        except _Stopped:
            checkpoint.stop = None
            gone_on = _fit(build, samples, Stream.of("check", 1), checkpoint)
            law = f"a fit stopped at checkpoint {stop} and gone on equals one never stopped"
            _law(law, _equal(_drawn(fitted), _drawn(gone_on)))
            _law("a fit that goes on does not begin anew", checkpoint.offers < counted.offers + stop)


def _check_unbiased(fitted: Generator, samples: SampleSet) -> None:
    """A model that says its `mean` has samples with that mean at λ = 1."""
    mean = getattr(fitted, "mean", None)
    if not isinstance(mean, np.ndarray) or samples.is_image or mean.shape != samples.shape:
        return
    drawn = _drawn(fitted, 64 * CHUNK).values.astype(np.float64)
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn)) + 1e-6 * (1 + np.abs(mean))
    off = np.abs(drawn.mean(axis=0) - mean) / error
    _law("λ = 1 is unbiased: samples have the model's mean", bool((off < _FALSE_ALARM_SIGMA).all()))


def _check_collapse(build: Callable[[], Generator], samples: SampleSet) -> None:
    one_point = samples.take(np.zeros(len(samples), np.int64))
    sets = {"equal samples": one_point, "a single sample": samples.head(1)}
    if samples.labels is not None and samples.classes is not None and len(set(samples.labels.tolist())) > 1:
        sets["an empty class"] = samples.take(np.flatnonzero(samples.labels != samples.labels[0]))
    for what, collapsed in sets.items():
        try:
            made = _drawn(_fit(build, collapsed, Stream.of("check", 1)))
        except Exception as error:
            raise BrokenLaw(f"a training set of {what} is a result, not an error; got {error!r}") from error
        _law(f"a model of {what} makes samples of their shape", made.shape == samples.shape)
        _law(f"a model of {what} makes finite samples", bool(np.isfinite(made.values).all()))


class _Stopped(Exception):
    """A fit was stopped by its checkpoint."""


class _Stopping:
    """Keeps the newest state, and stops the fit once it has been offered so many."""

    def __init__(self, stop: int | None) -> None:
        self.stop = stop
        self.offers = 0
        self._newest: tuple[int, dict[str, NDArray[Any]]] | None = None

    def restore(self) -> tuple[int, State] | None:
        return self._newest

    def offer(self, step: int, state: Callable[[], State]) -> None:
        self.offers += 1
        if self.stop is not None:
            self._newest = (step, {name: np.array(array) for name, array in state().items()})
            if self.offers >= self.stop:
                raise _Stopped


_SAFE = {".safetensors", ".json"}


def _equal(one: SampleSet, other: SampleSet) -> bool:
    labels = (one.labels is None) == (other.labels is None)
    if one.labels is not None and other.labels is not None:
        labels = np.array_equal(one.labels, other.labels)
    return labels and np.array_equal(one.values, other.values)


def _global_states() -> tuple[Any, ...]:
    torch = sys.modules.get("torch")
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global state itself is what is looked at
    return random.getstate(), numpy_state, torch.get_rng_state().numpy() if torch is not None else None


def _same_states(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    same = (
        before[0] == after[0] and np.array_equal(before[1][1], after[1][1]) and before[1][2:] == after[1][2:]
    )
    return bool(same) and np.array_equal(before[2], after[2])


def _law(law: str, kept: bool) -> None:
    if not kept:
        raise BrokenLaw(f"expected a generator that keeps the law, got one that does not: {law}")
