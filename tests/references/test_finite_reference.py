"""A finite reference: draws without replacement, of which fewer are the beginning of more."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from madray.errors import BadInput
from madray.references.finite import FiniteReference
from madray.references.protocol import Reference
from madray.samples import SampleSet
from madray.streams import Stream

SIZE = 500
STREAM = Stream.of(0, 1, "real")


@pytest.fixture
def reference() -> FiniteReference:
    """Images whose first two pixels say which they are."""
    values = np.arange(SIZE, dtype="<u2").view(np.uint8).reshape(SIZE, 1, 1, 2)
    return FiniteReference(SampleSet(values, np.arange(SIZE) % 7, 7))


def names(drawn: SampleSet) -> list[int]:
    return [int(name) for name in np.ascontiguousarray(drawn.values).reshape(-1, 2).view("<u2").ravel()]


def test_it_keeps_the_protocol(reference: FiniteReference) -> None:
    assert isinstance(reference, Reference)
    assert (reference.size, reference.shape, reference.classes) == (SIZE, (1, 1, 2), 7)


def test_fewer_samples_are_the_beginning_of_more(reference: FiniteReference) -> None:
    whole = reference.draw(SIZE, STREAM)
    for n in (0, 1, 2, 17, 250, 499, 500):
        drawn = reference.draw(n, STREAM)
        assert names(drawn) == names(whole)[:n]
        assert drawn.labels is not None
        assert drawn.labels.tolist() == [name % 7 for name in names(drawn)]
        assert drawn.values.dtype == np.uint8


def test_a_draw_holds_no_sample_twice(reference: FiniteReference) -> None:
    assert len(set(names(reference.draw(300, STREAM)))) == 300


def test_a_whole_draw_covers_the_data_set(reference: FiniteReference) -> None:
    assert sorted(names(reference.draw(SIZE, STREAM))) == list(range(SIZE))


def test_draws_of_different_streams_differ_and_overlap(reference: FiniteReference) -> None:
    # The overlap of two draws of 250 in 500 is hypergeometric; outside these bounds with probability 1e-6.
    one, two = (set(names(reference.draw(250, Stream.of(seed, 1, "real")))) for seed in (0, 1))
    low, high = stats.hypergeom(SIZE, 250, 250).interval(1 - 1e-6)
    assert low <= len(one & two) <= high


def test_every_sample_is_drawn_alike(reference: FiniteReference) -> None:
    # Counts in 2,000 draws of 1: χ² with p < 1e-6 with probability 1e-6.
    drawn = [names(reference.draw(1, Stream.of(seed, 1, "real")))[0] for seed in range(2000)]
    assert stats.chisquare(np.bincount(drawn, minlength=SIZE)).pvalue > 1e-6


@pytest.mark.parametrize("n", [501, 10_000, -1])
def test_more_samples_than_there_are_is_refused(reference: FiniteReference, n: int) -> None:
    with pytest.raises(BadInput, match=f"expected a draw of 0 to 500 samples, .*, got {n}, try"):
        reference.draw(n, STREAM)


def test_samples_without_labels_stay_without() -> None:
    reference = FiniteReference(SampleSet(np.zeros((4, 3), np.float32)))
    assert reference.classes is None
    assert reference.draw(2, STREAM).labels is None
