"""SampleSet: what it refuses, how it is cut and joined, and that Arrow and Parquet give it back."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from madray.errors import Damaged
from madray.keys import FORMAT_VERSION
from madray.samples import SampleSet
from madray.streams import Stream

PROVENANCE = {"source": "abc", "lambda": "0.5", "stream": "0/1/real", "key": "k"}


def images(n: int = 6, *, channels: int = 3) -> SampleSet:
    values = Stream.of("images").numpy().integers(256, size=(n, channels, 4, 5)).astype(np.uint8)
    return SampleSet(values, np.arange(n) % 3, 10, PROVENANCE)


def vectors(n: int = 6) -> SampleSet:
    return SampleSet(Stream.of("vectors").numpy().standard_normal((n, 2)).astype(np.float32))


def labelled_vectors(n: int = 6) -> SampleSet:
    return SampleSet(vectors(n).values, np.arange(n) % 2, 2)


KINDS = {"images": images, "vectors": vectors, "labelled vectors": labelled_vectors}


def assert_same(one: SampleSet, other: SampleSet) -> None:
    assert one.values.dtype == other.values.dtype
    assert np.array_equal(one.values, other.values)
    assert (one.labels is None) == (other.labels is None)
    if one.labels is not None and other.labels is not None:
        assert one.labels.dtype == other.labels.dtype == np.int64
        assert one.labels.tolist() == other.labels.tolist()
    assert one.classes == other.classes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 6])
def test_arrow_gives_back_what_it_was_given(kind: str, n: int) -> None:
    samples = KINDS[kind](n)
    again = SampleSet.from_arrow(samples.to_arrow())
    assert_same(samples, again)
    assert again.provenance == samples.provenance


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_gives_back_what_it_was_given(kind: str) -> None:
    samples, sink = KINDS[kind](), io.BytesIO()
    pq.write_table(samples.to_arrow(), sink)
    again = SampleSet.from_arrow(pq.read_table(io.BytesIO(sink.getvalue())))
    assert_same(samples, again)
    assert again.provenance == samples.provenance


def test_the_table_is_what_the_design_says() -> None:
    table = images().to_arrow()
    assert table.schema.field("values").type == pa.list_(pa.uint8(), 3 * 4 * 5)
    assert table.column_names == ["values", "label"]
    assert vectors().to_arrow().schema.field("values").type == pa.list_(pa.float32(), 2)
    assert vectors().to_arrow().column_names == ["values"]
    told = json.loads(table.schema.metadata[b"madray"])
    assert told == {"format": FORMAT_VERSION, "shape": [3, 4, 5], "classes": 10, **PROVENANCE}


@pytest.mark.parametrize("kind", KINDS)
def test_values_read_from_arrow_are_a_view_that_nobody_can_write_to(kind: str) -> None:
    table = KINDS[kind]().to_arrow()
    again = SampleSet.from_arrow(table)
    memory = table.column("values").chunk(0).flatten().buffers()[1]
    assert memory is not None
    assert again.values.__array_interface__["data"] == (memory.address, True)
    with pytest.raises(ValueError, match="read-only"):
        again.values[0] = 0


def test_a_tensor_is_writable_and_not_arrows_memory() -> None:
    again = SampleSet.from_arrow(images().to_arrow())
    tensor = again.tensor()
    assert tensor.dtype == torch.uint8
    tensor += 1
    assert np.array_equal(again.values, images().values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slice_of_a_table_is_those_samples(kind: str) -> None:
    samples = KINDS[kind](6)
    assert_same(SampleSet.from_arrow(samples.to_arrow().slice(2, 3)), samples.take(np.array([2, 3, 4])))


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_one_after_the_other_are_one_set(kind: str) -> None:
    samples = KINDS[kind](7)
    chunks = [samples.take(np.arange(begin, min(begin + 3, 7))).to_arrow() for begin in range(0, 7, 3)]
    table = pa.concat_tables([*chunks, chunks[0].slice(0, 0)])
    assert table.column("values").num_chunks > 1
    assert_same(SampleSet.from_arrow(table), samples)
    assert_same(SampleSet.from_arrow(table.slice(2, 4)), samples.take(np.arange(2, 6)))


def test_a_table_that_says_not_what_it_is_is_damaged() -> None:
    table = vectors().to_arrow()
    other = json.dumps({"format": FORMAT_VERSION + 1, "shape": [2], "classes": None})
    for metadata in (None, {"other": "x"}, {"madray": "no json"}, {"madray": "[]"}, {"madray": "{}"}):
        with pytest.raises(Damaged, match="expected a table of samples with madray's metadata"):
            SampleSet.from_arrow(table.replace_schema_metadata(metadata))
    with pytest.raises(Damaged, match=f"of format {FORMAT_VERSION}, got {FORMAT_VERSION + 1}"):
        SampleSet.from_arrow(table.replace_schema_metadata({"madray": other}))


def labels_of(*labels: int) -> NDArray[np.int64]:
    return np.array(labels, np.int64)


TWO = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("values", "labels", "classes", "told"),
    [
        (TWO.astype(np.float64), None, None, "expected values of uint8 or float32, got float64"),
        (TWO.astype(np.int64), None, None, "expected values of uint8 or float32, got int64"),
        (TWO[0], None, None, r"expected values of shape \(n, …\), got \(3,\)"),
        (TWO, labels_of(0, 1), None, "expected labels and classes together, or neither"),
        (TWO, None, 2, "expected labels and classes together, or neither"),
        (TWO, labels_of(0), 2, r"expected 2 labels of int64, got int64 of shape \(1,\)"),
        (TWO, np.zeros(2, np.int32), 2, "expected 2 labels of int64, got int32"),
        (TWO, labels_of(0, 2), 2, r"expected labels in \[0, 2\), got 0 to 2"),
        (TWO, labels_of(-1, 1), 2, r"expected labels in \[0, 2\), got -1 to 1"),
    ],
)
def test_what_does_not_agree_is_refused(
    values: NDArray[np.float32], labels: NDArray[np.int64] | None, classes: int | None, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        SampleSet(values, labels, classes)


def test_a_class_may_be_empty() -> None:
    samples = SampleSet(TWO, labels_of(3, 3), 5)
    assert samples.label_counts() == [0, 0, 0, 2, 0]
    assert SampleSet.from_arrow(samples.to_arrow()).label_counts() == [0, 0, 0, 2, 0]
    assert vectors().label_counts() is None


def test_bytes_are_images_and_all_else_is_vectors() -> None:
    assert (images().is_image, images().shape) == (True, (3, 4, 5))
    assert (vectors().is_image, vectors().shape) == (False, (2,))


def test_images_are_flattened_to_between_0_and_1_and_vectors_stay() -> None:
    samples = SampleSet(np.array([[[[0, 51, 255]]]], np.uint8))
    assert samples.flat().tolist() == [[0, np.float32(0.2), 1]]
    assert samples.flat().dtype == np.float32
    one = vectors()
    assert np.array_equal(one.flat(), one.values)


@pytest.mark.parametrize("kind", KINDS)
def test_no_samples_are_a_set_as_well(kind: str) -> None:
    none = KINDS[kind](0)
    assert len(none) == len(none.head(0)) == len(none.take(labels_of())) == 0
    assert none.flat().shape == (0, int(np.prod(none.shape)))
    assert none.tensor().shape == (0, *none.shape)


def test_a_head_is_the_beginning_and_no_copy() -> None:
    samples = images()
    head = samples.head(4)
    assert_same(head, SampleSet(samples.values[:4], np.array([0, 1, 2, 0]), 10))
    assert np.shares_memory(head.values, samples.values)
    assert head.provenance == PROVENANCE
    assert len(samples.head(6)) == 6


@pytest.mark.parametrize("n", [7, -1])
def test_a_head_longer_than_the_set_or_shorter_than_nothing_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"expected 0 to 6 samples to be asked for, got {n}"):
        images().head(n)


def test_samples_are_taken_in_the_order_of_their_indices() -> None:
    samples = images()
    assert_same(
        samples.take(labels_of(5, 0, 0)), SampleSet(samples.values[[5, 0, 0]], labels_of(2, 0, 0), 10)
    )


def test_sets_stand_one_after_the_other() -> None:
    one, other = images(2), images(3)
    joined = SampleSet.concat([one, other])
    assert np.array_equal(joined.values, np.concatenate([one.values, other.values]))
    assert joined.labels is not None
    assert joined.labels.tolist() == [0, 1, 0, 1, 2]
    assert SampleSet.concat([one]) is one


def test_labels_survive_only_where_every_part_has_them() -> None:
    joined = SampleSet.concat([labelled_vectors(2), vectors(2)])
    assert (joined.labels, joined.classes, len(joined)) == (None, None, 4)


def test_joined_sets_have_the_classes_of_all_parts() -> None:
    few, many = SampleSet(TWO, labels_of(0, 1), 2), SampleSet(TWO, labels_of(6, 6), 7)
    assert SampleSet.concat([few, many]).label_counts() == [1, 1, 0, 0, 0, 0, 2]


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one set of samples, got none"):
        SampleSet.concat([])
    with pytest.raises(ValueError, match="expected samples of one shape and dtype"):
        SampleSet.concat([SampleSet(TWO), vectors()])
    with pytest.raises(ValueError, match="expected samples of one shape and dtype"):
        SampleSet.concat([SampleSet(TWO), SampleSet(TWO.astype(np.uint8))])
