"""Streams are names: the same everywhere, different from all others, and nobody's global state."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from madray.streams import Stream

ERROR = 1e-6
"""How often a statistical check here would fail, were its streams drawn anew and truly random."""


def test_a_stream_begins_at_the_same_place_each_time() -> None:
    stream = Stream.of(3, 1, "real")
    assert stream.numpy().random(5).tolist() == Stream.of(3, 1, "real").numpy().random(5).tolist()
    assert torch.equal(
        torch.rand(5, generator=stream.torch()), torch.rand(5, generator=Stream.of(3, 1, "real").torch())
    )


def test_a_stream_is_the_same_in_every_process() -> None:
    told = "from madray.streams import Stream; s = Stream.of(7, 2, 'fit'); print(s.numpy().integers(2**62))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", told],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert outputs == {f"{Stream.of(7, 2, 'fit').numpy().integers(2**62)}\n"}


def test_seeds_are_words_of_the_names_sha256() -> None:
    words = hashlib.sha256(b"int:0/int:1/str:real").digest()
    stream = Stream.of(0, 1, "real")
    assert stream.integer() == int.from_bytes(words[:4], "little") % 2**31
    assert stream.torch().initial_seed() == int.from_bytes(words[:8], "little")
    expected = np.random.SFC64(np.random.SeedSequence(np.frombuffer(words, "<u4").tolist()))
    assert stream.numpy().integers(2**63) == np.random.Generator(expected).integers(2**63)


def test_the_type_of_a_part_is_part_of_the_name() -> None:
    number, text = Stream.of(1), Stream.of("1")
    assert number != text
    assert number.integer() != text.integer()
    assert number.numpy().random() != text.numpy().random()


def test_the_integers_of_numpy_are_integers() -> None:
    assert Stream.of(np.int64(1), "real") == Stream.of(1, "real")  # type: ignore[arg-type]
    assert Stream.of(np.int64(1)).integer() == Stream.of(1).integer()  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["a/b", "/", "int:1/int:2"])
def test_a_part_holds_no_slash_so_that_no_two_paths_have_one_name(part: str) -> None:
    with pytest.raises(ValueError, match="without '/'"):
        Stream.of(0, part)


def test_a_part_is_an_integer_or_text() -> None:
    with pytest.raises(TypeError):
        Stream.of(0.5)  # type: ignore[arg-type]


def test_a_child_is_the_stream_of_the_longer_path() -> None:
    assert Stream.of(0, 1).child("real", 2) == Stream.of(0, 1, "real", 2)
    assert Stream.of(0, 1, "real").name == "0/1/real"


def many_streams() -> list[Stream]:
    """A parent, children, grandchildren, and the neighbours of all."""
    parents = [Stream.of(seed, t, role) for seed in range(4) for t in (1, 2) for role in ("real", "fit")]
    children = [parent.child(index) for parent in parents for index in range(8)]
    grandchildren = [child.child("values") for child in children]
    return parents + children + grandchildren


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_streams_are_independent_of_their_parents_children_and_neighbours(kind: str) -> None:
    # r·√n of independent rows is N(0, 1) nearly enough; the largest of all pairs, by Bonferroni.
    n = 400
    rows = [
        stream.numpy().standard_normal(n)
        if kind == "numpy"
        else torch.randn(n, generator=stream.torch()).numpy().astype(float)
        for stream in many_streams()
    ]
    correlations = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
    assert np.abs(correlations).max() * np.sqrt(n) < stats.norm.isf(ERROR / (2 * len(correlations)))


def test_first_numbers_of_numbered_children_are_uniform() -> None:
    first = [Stream.of(0, "chunk").child(index).numpy().random() for index in range(2000)]
    assert stats.kstest(first, "uniform").pvalue > ERROR


def test_integers_are_seeds_of_31_bits() -> None:
    drawn = [stream.integer() for stream in many_streams()]
    assert 0 <= min(drawn) <= max(drawn) < 2**31
    assert len(set(drawn)) == len(drawn)


def global_states() -> tuple[object, ...]:
    legacy = np.random.get_state()  # noqa: NPY002 - the global state is what this is about
    return random.getstate(), legacy[1].tolist(), torch.get_rng_state().tolist()


def test_no_global_state_is_touched() -> None:
    before = global_states()
    stream = Stream.of(0, 1, "fit")
    stream.numpy().random(10)
    torch.rand(10, generator=stream.torch())
    stream.integer()
    assert global_states() == before
