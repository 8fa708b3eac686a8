"""Rows of Parquet files: vectors as columns of numbers or as lists, or encoded images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from madray.errors import BadInput
from madray.references.files import File, files_below, locate
from madray.references.images import decode_image
from madray.references.parquet_columns import in_float32, is_number, number_columns, read_columns
from madray.samples import COLUMNS, SampleSet
from madray.spec.references import Parquet

MOST_CLASSES = 65_536
"""Where no number of classes is given, larger labels are taken for something else, such as row ids."""


def read_parquet(settings: Parquet, data: Path | None) -> SampleSet:
    """All rows of a Parquet file, or of the `*.parquet` of a folder in the order of their paths.

    Columns of numbers, one a coordinate, and a column of lists of numbers give float32 values of shape
    (n, d); within a list some may never vary, as with pixels or switched-off activations, where a column may
    not. A column of encoded images, as bytes or as `{bytes, path}`, gives uint8 values of shape
    (n, channels, height, width), cropped to the middle square and resized where `size` says so. Labels are
    integers in [0, classes).

    Without `values` it is the first column of lists or images, and where there is none, all columns but the
    labels.

    Raises: BadInput, naming the file, what was expected and what was found: no such column, a null, a column
    that is not of numbers, or never varies, or by less than float32 can tell, lists of unequal length,
    numbers that are not finite in float32, an image that does not decode, images of unequal size without
    `size`, a label that is negative, null, no integer or too large.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "people.parquet")
    ...     pq.write_table(pa.table({"height_m": [1.6, 1.8], "income": [20e3, 70e3], "label": [0, 2]}), path)
    ...     samples = read_parquet(Parquet(path="people.parquet"), Path(folder))
    >>> samples.values[1].tolist(), samples.label_counts()
    ([1.7999999523162842, 70000.0], [1, 0, 1])
    """
    path = locate(settings.path, data, "a Parquet file or a folder of them")
    names = [settings.values] if isinstance(settings.values, str) else settings.values
    label = settings.label
    values: list[NDArray[Any]] = []
    labels: list[NDArray[np.int64]] = []
    for file in parquet_files(path):
        where = file.where
        with file.open() as stream:
            opened = _open(stream, where)
            there = opened.schema_arrow.names
            if label is None and not values and "label" in there and "label" not in (names or ()):
                label = "label"
            if names is None:
                names = _of_values(opened.schema_arrow, label, where)
            table = _columns(opened, [*names, *([label] if label else [])], where)
        if not table.num_rows:
            continue
        values.append(_values(table.select(names), settings, where))
        if values[-1].shape[1:] != values[0].shape[1:] or values[-1].dtype != values[0].dtype:
            raise BadInput(
                f"expected values of one shape in {path}, got {values[0].shape[1:]} and, in {where}, "
                f"{values[-1].shape[1:]}, try `size` for images"
            )
        if label is not None:
            labels.append(_labels(table.column(label), label, settings.classes, where))
    if not values or names is None:
        raise BadInput(f"expected rows in {path}, got none, try another file")
    samples, told = np.concatenate(values), {}
    if samples.dtype == np.float64:
        samples, told = in_float32(samples, names, str(path)), {COLUMNS: json.dumps(names)}
    if not labels:
        return SampleSet(samples, provenance=told)
    joined = np.concatenate(labels)
    return SampleSet(samples, joined, settings.classes or int(joined.max()) + 1, told)


def parquet_files(path: Path) -> list[File]:
    """The file itself, or the `*.parquet` files below a folder, sorted by path.

    Raises: BadInput, if the folder has none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("2.parquet", "1.parquet", "README.md"):
    ...         Path(folder, name).touch()
    ...     [file.name for file in parquet_files(Path(folder))]
    ['1.parquet', '2.parquet']
    """
    if path.is_file():
        return [File.at(path, path.name)]
    files = files_below(path, (".parquet",))
    if not files:
        raise BadInput(f"expected *.parquet files in {path}, got none, try another folder")
    return files


def _open(stream: IO[bytes], where: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(
            f"expected a Parquet file at {where}, got {_one_line(error)}, try another path"
        ) from error


def _columns(opened: pq.ParquetFile, names: Sequence[str], where: str) -> pa.Table:
    there = opened.schema_arrow.names
    for name in names:
        if name not in there:
            raise BadInput(
                f"expected a column {name!r} in {where}, got {', '.join(there) or 'none'}, "
                "try `values` and `label` with names of columns"
            )
    try:
        return opened.read(columns=list(names), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(
            f"expected {where} to be readable, got {_one_line(error)}, try fetching it again"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _is_vectors(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_bytes(kind.field(index).type)
    return _is_bytes(kind)


def _of_values(schema: pa.Schema, label: str | None, where: str) -> list[str]:
    for field in schema:
        if _is_vectors(field.type) or _is_images(field.type):
            return [str(field.name)]
    if names := number_columns(schema, label, where):
        return names
    raise BadInput(
        f"expected columns of numbers, of lists of numbers or of encoded images in {where}, "
        f"got {', '.join(f'{field.name}: {field.type}' for field in schema)}, try converting one"
    )


def _values(table: pa.Table, settings: Parquet, where: str) -> NDArray[Any]:
    """Float64 of columns of numbers, float32 of lists, bytes of images."""
    name, *others = table.column_names
    column = table.column(name)
    if others or is_number(column.type):
        return read_columns(table, where)
    if _is_images(column.type):
        return _images(column, name, settings, where)
    if _is_vectors(column.type):
        return _vectors(column, name, where)
    raise BadInput(
        f"expected numbers, lists of numbers or encoded images in column {name!r} of {where}, "
        f"got {column.type}, try `values` with the name of another column"
    )


def _vectors(column: pa.ChunkedArray, name: str, where: str) -> NDArray[np.float32]:
    if column.null_count:
        raise BadInput(_at("a list of numbers", name, _first(column.is_null()), where, "null"))
    lengths = pc.list_value_length(column).to_numpy()
    d = int(lengths[0])
    if (lengths != d).any() or d == 0:
        row = int(np.argmax(lengths != d))
        raise BadInput(_at(f"{d or 1} numbers, as many as in row 0,", name, row, where, str(lengths[row])))
    flat = pc.list_flatten(column)
    if flat.null_count:
        raise BadInput(_at("numbers", name, _first(flat.is_null()) // d, where, "null"))
    with np.errstate(over="ignore"):
        values: NDArray[np.float32] = flat.to_numpy().astype(np.float32).reshape(-1, d)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        number = values[row][~np.isfinite(values[row])][0]
        raise BadInput(_at("finite numbers in float32", name, row, where, str(number)))
    return values


def _images(column: pa.ChunkedArray, name: str, settings: Parquet, where: str) -> NDArray[np.uint8]:
    encoded = pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column
    if encoded.null_count:
        raise BadInput(_at("an encoded image", name, _first(encoded.is_null()), where, "null"))
    images: list[NDArray[np.uint8]] = []
    for row, scalar in enumerate(encoded):
        place = f"row {row} of column {name!r} of {where}"
        image = decode_image(scalar.as_py(), settings.size, colour=settings.colour, where=place)
        if images and image.shape != images[0].shape:
            raise BadInput(
                f"expected images of {_size(images[0])} pixels, as in row 0, got {_size(image)} in {place}, "
                "try `size` to crop and resize them"
            )
        images.append(image)
    return np.stack(images)


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]} × {image.shape[2]}"


def _labels(column: pa.ChunkedArray, name: str, classes: int | None, where: str) -> NDArray[np.int64]:
    if not pa.types.is_integer(column.type):
        raise BadInput(
            f"expected integer labels in column {name!r} of {where}, got {column.type}, "
            "try numbering the classes from 0"
        )
    bound = classes or MOST_CLASSES
    expected = f"a label in [0, {bound})"
    if column.null_count:
        raise BadInput(_at(expected, name, _first(column.is_null()), where, "null"))
    labels = column.to_numpy()
    wrong = (labels < 0) | (labels >= bound)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadInput(_at(expected, name, row, where, str(labels[row])))
    return np.asarray(labels, np.int64)


def _first(mask: pa.ChunkedArray) -> int:
    return int(pc.index(mask, True).as_py())


def _at(expected: str, column: str, row: int, where: str, found: str) -> str:
    return (
        f"expected {expected} in row {row} of column {column!r} of {where}, got {found}, "
        "try taking such rows out"
    )
