"""Sample tables by key: what is read is what was written, and no more is kept than there is room for."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from madray.errors import Damaged, Missing
from madray.parquet import to_parquet
from madray.samples import SampleSet
from madray.store import Store
from madray.tables import FILE, KeptTables, ReadTables, read_table


class Counting(Store):
    """Counts what is read of it."""

    reads = 0

    def read(self, kind: str, key: str, *names: str) -> dict[str, bytes]:
        if kind == "draws":
            self.reads += 1
        return super().read(kind, key, *names)


def samples(n: int, seed: int = 0) -> SampleSet:
    random = np.random.default_rng(seed)
    values = random.standard_normal((n, 3)).astype(np.float32)
    return SampleSet(values, random.integers(0, 4, n), 4, {"source": "g", "lambda": "0.5"})


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    opened = Store.open(tmp_path)
    return Counting(opened._fs, opened._root, opened.uri)


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_samples_come_back_bit_for_bit_with_labels_and_provenance(store: Counting, n: int) -> None:
    made = samples(n)
    store.commit("draws", "k", {FILE: to_parquet(made.to_arrow())})
    read = SampleSet.from_arrow(read_table(store, "draws", "k"))
    assert read.values.tobytes() == made.values.tobytes()
    assert read.labels is not None and made.labels is not None
    assert read.labels.tolist() == made.labels.tolist()
    assert (read.classes, read.shape, dict(read.provenance)) == (4, (3,), {"source": "g", "lambda": "0.5"})


def test_a_table_is_one_row_group_and_the_same_bytes_each_time() -> None:
    written = to_parquet(samples(5000).to_arrow())
    assert pq.ParquetFile(io.BytesIO(written)).metadata.num_row_groups == 1
    assert written == to_parquet(samples(5000).to_arrow())


def test_a_table_is_read_once_while_there_is_room(store: Counting) -> None:
    for key in "abc":
        store.commit("draws", key, {FILE: to_parquet(samples(10).to_arrow())})
    tables = ReadTables(store)
    for key in "abcabccba":
        assert tables.table("draws", key).num_rows == 10
    assert store.reads == 3


def test_of_what_is_too_much_the_longest_unused_goes_first(store: Counting) -> None:
    for key in "abc":
        store.commit("draws", key, {FILE: to_parquet(samples(100).to_arrow())})
    two = 2 * read_table(store, "draws", "a").nbytes
    tables = ReadTables(store, room_bytes=two)
    store.reads = 0
    for key, reads in zip("abacabcb", [1, 2, 2, 3, 3, 4, 5, 5], strict=True):
        tables.table("draws", key)
        assert store.reads == reads, key


def test_a_table_larger_than_the_room_is_read_all_the_same(store: Counting) -> None:
    store.commit("draws", "a", {FILE: to_parquet(samples(100).to_arrow())})
    assert ReadTables(store, room_bytes=0).table("draws", "a").num_rows == 100


def test_missing_and_damaged_tables_say_so_and_are_read_when_made_again(
    store: Counting, tmp_path: Path
) -> None:
    tables = ReadTables(store)
    with pytest.raises(Missing):
        tables.table("draws", "k")
    store.commit("draws", "k", {FILE: to_parquet(samples(10).to_arrow())})
    [path] = tmp_path.glob(f"draws/k/*/{FILE}")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(Damaged):
        tables.table("draws", "k")
    store.commit("draws", "k", {FILE: to_parquet(samples(10).to_arrow())})
    assert tables.table("draws", "k").num_rows == 10


def test_of_kept_tables_the_longest_unused_go_and_one_always_stays() -> None:
    table = samples(10).to_arrow()
    kept = KeptTables(2 * table.nbytes)
    for key in "ab":
        kept.keep("draws", key, table)
    assert kept.get("draws", "a") is table  # now b is the longest unused
    kept.keep("draws", "a", table)  # again: it takes no more room
    kept.keep("draws", "c", table)
    assert [kept.get("draws", key) is table for key in "abc"] == [True, False, True]
    small = KeptTables(1)
    small.keep("draws", "a", table)
    assert small.get("draws", "a") is table
    assert small.get("features", "a") is None
