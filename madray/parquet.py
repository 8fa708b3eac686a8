"""Arrow tables as the bytes of a Parquet file, and back."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq


def to_parquet(table: pa.Table) -> bytes:
    """A table as Parquet, in one row group, compressed as fast as it reads.

    >>> from_parquet(to_parquet(pa.table({"n": [1, 2]}))).column("n").to_pylist()
    [1, 2]
    """
    sink = io.BytesIO()
    pq.write_table(
        table, sink, compression="zstd", compression_level=1, row_group_size=max(1, table.num_rows)
    )
    return sink.getvalue()


def from_parquet(data: bytes) -> pa.Table:
    """The table in the bytes of a Parquet file.

    Read through Arrow's own buffer and without its thread pool: with a Python file, a thread may outlive
    Arrow's S3 client, and the process then aborts while it ends.
    """
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
