"""Parquet files of vectors and of encoded images: what is read, and what is refused in which words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from madray.errors import BadInput
from madray.references.content import content_digest, read
from madray.spec.reading import check_sweep
from madray.spec.references import Parquet

POINTS = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


def png(height: int = 2, width: int = 2, level: int = 0) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), (level, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write(folder: Path, name: str = "a.parquet", **columns: Any) -> Parquet:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return Parquet(path=name)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float64()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float32(), 2),
        pa.list_(pa.int16()),
        pa.list_(pa.float16()),
    ],
)
def test_lists_of_numbers_become_vectors(tmp_path: Path, kind: pa.DataType) -> None:
    given: Sequence[object] = POINTS
    if kind.value_type == pa.int16():
        given = [[int(x) for x in row] for row in POINTS]
    elif kind.value_type == pa.float16():
        given = [np.array(row, np.float16) for row in POINTS]
    samples = read(write(tmp_path, x=pa.array(given, kind)), tmp_path)
    assert samples.values.dtype == np.float32
    assert samples.values.tolist() == POINTS
    assert samples.labels is None


@pytest.mark.parametrize("kind", ["struct", "binary", "large_binary"])
def test_encoded_images_become_bytes_with_channels_first(tmp_path: Path, kind: str) -> None:
    images = [png(2, 3, level) for level in (10, 20, 30)]
    column = {
        "struct": pa.array([{"bytes": image, "path": "1.png"} for image in images]),
        "binary": pa.array(images, pa.binary()),
        "large_binary": pa.array(images, pa.large_binary()),
    }[kind]
    samples = read(write(tmp_path, image=column, label=[2, 0, 0]), tmp_path)
    assert samples.values.dtype == np.uint8
    assert samples.shape == (3, 2, 3)
    assert samples.values[:, :, 0, 0].tolist() == [[10, 0, 0], [20, 0, 0], [30, 0, 0]]
    assert samples.labels is not None
    assert samples.labels.tolist() == [2, 0, 0]
    assert samples.classes == 3


def test_images_are_resized_and_made_grey_where_asked(tmp_path: Path) -> None:
    write(tmp_path, image=pa.array([png(4, 6), png(9, 3)], pa.binary()))
    samples = read(Parquet(path="a.parquet", size=2, colour=False), tmp_path)
    assert samples.values.shape == (2, 1, 2, 2)


def test_columns_are_chosen_by_name_or_the_first_that_fits(tmp_path: Path) -> None:
    write(tmp_path, title=["a", "b", "c"], x=POINTS, y=[[9], [8], [7]], label=[0, 0, 1], other=[4, 4, 4])
    assert read(Parquet(path="a.parquet"), tmp_path).values.tolist() == POINTS
    other = read(Parquet(path="a.parquet", values="y", label="other"), tmp_path)
    assert other.values.tolist() == [[9], [8], [7]]
    assert other.label_counts() == [0, 0, 0, 0, 3]


def test_classes_may_be_more_than_those_there(tmp_path: Path) -> None:
    write(tmp_path, x=POINTS, label=pa.array([0, 1, 1], pa.uint8()))
    assert read(Parquet(path="a.parquet"), tmp_path).classes == 2
    assert read(Parquet(path="a.parquet", classes=10), tmp_path).classes == 10


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.float32(), pa.float16(), pa.int64(), pa.uint8(), pa.int16()]
)
def test_columns_of_numbers_become_coordinates(tmp_path: Path, kind: pa.DataType) -> None:
    x = np.array([1, 0, 2], kind.to_pandas_dtype())
    write(tmp_path, x=pa.array(x, kind), y=[0.5, 0.25, 0.0])
    for settings in (Parquet(path="a.parquet"), Parquet(path="a.parquet", values=["x", "y"])):
        samples = read(settings, tmp_path)
        assert samples.values.dtype == np.float32
        assert samples.values.tolist() == [[1, 0.5], [0, 0.25], [2, 0]]
        assert samples.labels is None


def test_columns_stand_in_the_order_that_values_says(tmp_path: Path) -> None:
    write(tmp_path, x=[1, 2], word=["a", "b"], y=[3, 4], z=[5, 6])
    assert read(Parquet(path="a.parquet", values=["z", "x"]), tmp_path).values.tolist() == [[5, 1], [6, 2]]
    assert read(Parquet(path="a.parquet", values="y"), tmp_path).values.tolist() == [[3], [4]]
    assert read(Parquet(path="a.parquet", values=["y"]), tmp_path).values.tolist() == [[3], [4]]


def test_labels_are_no_coordinates_unless_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, x=[1.0, 2.0, 3.0], label=[1, 0, 1], kind=[0, 0, 2], __index_level_0__=[7, 8, 9])
    samples = read(Parquet(path="a.parquet", values="x"), tmp_path)
    assert (samples.shape, samples.label_counts()) == ((1,), [1, 2])
    samples = read(Parquet(path="a.parquet", label="kind"), tmp_path)
    assert samples.values.tolist() == [[1, 1], [2, 0], [3, 1]]
    assert samples.label_counts() == [2, 0, 1]
    samples = read(Parquet(path="a.parquet", values=["x", "label"]), tmp_path)
    assert (samples.shape, samples.labels) == ((2,), None)


def test_columns_may_lie_in_several_files_and_be_constant_in_one(tmp_path: Path) -> None:
    write(tmp_path / "all", "1.parquet", x=[1, 1], y=[0.5, 1.5])
    write(tmp_path / "all", "2.parquet", y=[2.5], x=pa.array([2], pa.uint8()))
    assert read(Parquet(path="all"), tmp_path).values.tolist() == [[1, 0.5], [1, 1.5], [2, 2.5]]


def test_large_integers_that_float32_holds_are_no_trouble(tmp_path: Path) -> None:
    large = [2**40, 2**40 + 2**20]
    assert read(write(tmp_path, x=large), tmp_path).values.tolist() == [[each] for each in large]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"values": []}, "values: expected names of columns, got []"),
        ({"values": ["x", "y", "x"]}, "values: expected each column once, and not as the label too, got 'x'"),
        ({"values": ["x"], "label": "x"}, "values: expected each column once, and not as the label too"),
        ({"values": 3}, "values: expected text or a list, got 3"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused_when_the_file_is_read(given: Any, told: str) -> None:
    reference = {"kind": "parquet", "path": "a.parquet", **given}
    chain = {"reference": reference, "generator": "gaussian", "loop": "fully_synthetic"}
    chain |= {"n_ini": 9, "n_s": 9, "generations": 2}
    with pytest.raises(BadInput) as error:
        check_sweep({"name": "s", "chain": chain}, name="x.yaml")
    assert f"chain.reference.{told}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for name, x in (("b.parquet", 3), ("a/2.parquet", 2), ("a/1.parquet", 1)):
        write(tmp_path / "all", name, x=[[float(x)]], label=[x])
    write(
        tmp_path / "all",
        "a/empty.parquet",
        x=pa.array([], pa.list_(pa.float64())),
        label=pa.array([], pa.int64()),
    )
    (tmp_path / "all" / "README.md").write_text("no Parquet")
    samples = read(Parquet(path="all"), tmp_path)
    assert samples.values.tolist() == [[1], [2], [3]]
    assert samples.labels is not None
    assert samples.labels.tolist() == [1, 2, 3]


def test_a_name_with_an_equals_sign_is_no_partition(tmp_path: Path) -> None:
    samples = read(write(tmp_path, "label=3/a.parquet", x=POINTS), tmp_path)
    assert samples.labels is None


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "nan": ({"x": [[0.0, 1.0], [2.0, float("nan")]]}, {}, "finite .* in row 1 of column 'x' .* got nan"),
    "infinity": ({"x": [[float("-inf"), 1.0]]}, {}, "finite numbers in float32 in row 0 .* got -inf"),
    "too large": ({"x": [[0.0], [1e300]]}, {}, "finite numbers in float32 in row 1 .* got inf"),
    "ragged": ({"x": [[0.0], [1.0], [2.0, 3.0]]}, {}, "1 numbers, as many as in row 0, in row 2 .* got 2"),
    "empty lists": ({"x": pa.array([[], []], pa.list_(pa.float64()))}, {}, "1 numbers, .* in row 0 .* got 0"),
    "null list": ({"x": [[0.0], None]}, {}, "a list of numbers in row 1 .* got null"),
    "null number": ({"x": [[0.0, 1.0], [1.0, None]]}, {}, "numbers in row 1 .* got null"),
    "label negative": ({"x": POINTS, "label": [0, -1, 1]}, {}, "a label in .* in row 1 .* got -1"),
    "label null": ({"x": POINTS, "label": [0, 1, None]}, {}, "a label in .* in row 2 .* got null"),
    "label beyond": ({"x": POINTS, "label": [0, 1, 2]}, {"classes": 2},
        r"a label in \[0, 2\) in row 2 .* got 2,"),
    "label an id": ({"x": POINTS, "label": [0, 1, 10**9]}, {}, r"a label in \[0, 65536\) .* got 1000000000"),
    "label huge": (
        {"x": POINTS, "label": pa.array([0, 1, 2**64 - 1], pa.uint64())}, {},
        "a label in .* got 18446744073709551615",
    ),
    "label text": ({"x": POINTS, "label": ["a", "b", "c"]}, {}, "integer labels in column .* got string"),
    "label float": ({"x": POINTS, "label": [0.0, 1.0, 2.0]}, {}, "integer labels in column .* got double"),
    "label missing": ({"x": POINTS}, {"label": "y"}, "a column 'y' in .* got x"),
    "values missing": ({"x": POINTS}, {"values": "y"}, "a column 'y' in .* got x"),
    "values text": ({"x": ["a", "b"]}, {"values": "x"}, "numbers, lists of .* in column 'x' .* got string"),
    "nothing fits": ({"x": ["b"], "y": ["a"]}, {}, "columns of numbers, .* got x: string, y: string"),
    "only labels": ({"label": [0, 1]}, {}, "columns of numbers, .* got label: int64"),
    "nested": ({"x": [[[0.0]]]}, {}, "columns of numbers, of lists of .* got x: list<"),
    "column of text": (
        {"x": [0.0, 1.0], "y": ["a", "b"], "z": [1, 0]}, {},
        r"numbers in column 'y' of .*, got string, try `values: \[x, z\]`",
    ),
    "column of text, named": (
        {"x": [0.0, 1.0], "y": ["a", "b"]}, {"values": ["x", "y"]}, "numbers in column 'y' of .*, got string"),
    "column of truth values": (
        {"x": [0.0, 1.0], "y": [True, False]}, {"values": ["x", "y"]}, "numbers in column 'y' .* got bool"),
    "column of dates": (
        {"x": pa.array([0, 1], pa.date32()), "y": [1, 0]}, {"values": ["x", "y"]},
        r"numbers in column 'x' .* got date32",
    ),
    "column of lists among numbers": (
        {"x": POINTS, "y": [1, 0, 3]}, {"values": ["y", "x"]}, "numbers in column 'x' of .*, got list<"),
    "column missing": ({"x": [0.0, 1.0]}, {"values": ["x", "y"]}, "a column 'y' in .*, got x"),
    "constant column": (
        {"x": [0.0, 1.0], "country": [49, 49]}, {},
        "numbers that vary in column 'country' of .*, got 49 in each row",
    ),
    "one row": ({"x": [0.5]}, {}, "numbers that vary in column 'x' of .*, got 0.5 in each row"),
    "nan in a column": (
        {"x": [0.0, 1.0], "y": [1.0, float("nan")]}, {},
        "finite numbers in float32 in row 1 of column 'y' of .*, got nan",
    ),
    "infinity in a column": ({"x": [0.0, float("-inf")]}, {}, "finite .* row 1 of column 'x' .* got -inf"),
    "too large in a column": ({"x": [0.0, 1e300]}, {}, "finite .* row 1 of column 'x' .* got 1e[+]300"),
    "null in a column": ({"x": [0, 2, None]}, {}, "finite .* in row 2 of column 'x' .* got null"),
    "too fine for float32": (
        {"seconds": [1.7e9, 1.7e9 + 1]}, {},
        r"numbers that float32 can tell apart in column 'seconds' of .*, got 1.7e\+09 ± 0.5",
    ),
    "too fine for any float": (
        {"id": [2**60, 2**60 + 1]}, {},
        "numbers that float32 can tell apart in column 'id' of .*, got integers up to 1152921504606846977",
    ),
    "no rows": ({"x": pa.array([], pa.list_(pa.float64()))}, {}, "rows in .* got none"),
    "unequal images": (
        {"x": [png(2, 2), png(2, 3)]}, {},
        "images of 2 × 2 pixels, as in row 0, got 2 × 3 in row 1 .* try `size`",
    ),
    "no image": ({"x": [png(), b"no image"]}, {}, "an image in row 1 .* got 8 bytes that do not decode"),
    "null image": ({"x": [{"bytes": png()}, {"bytes": None}]}, {}, "an encoded image in row 1 .* got null"),
    "null struct": ({"x": [{"bytes": png()}, None]}, {}, "an encoded image in row 1 .* got null"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    columns, settings, expected = REFUSED[name]
    write(tmp_path, **columns)
    with pytest.raises(BadInput, match=f"expected {expected}") as error:
        read(Parquet(path="a.parquet", **settings), tmp_path)
    told = str(error.value)
    assert "a.parquet" in told
    assert "try " in told
    assert "\n" not in told


def test_files_of_a_folder_must_agree(tmp_path: Path) -> None:
    write(tmp_path, "1.parquet", x=[[0.0, 1.0]], label=[0])
    write(tmp_path, "2.parquet", x=[[0.0]], label=[0])
    with pytest.raises(
        BadInput, match=r"expected values of one shape in .*, got \(2,\) and, in .*2.parquet, \(1,\)"
    ):
        read(Parquet(path="."), tmp_path)
    write(tmp_path, "2.parquet", x=[[0.0, 1.0]])
    with pytest.raises(BadInput, match=r"expected a column 'label' in .*2.parquet, got x, try"):
        read(Parquet(path="."), tmp_path)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.parquet").write_bytes(b"no Parquet")
    with pytest.raises(BadInput, match=r"expected a Parquet file at .*a.parquet, got ArrowInvalid") as error:
        read(Parquet(path="a.parquet"), tmp_path)
    assert "\n" not in str(error.value)
    for call in (content_digest, read):
        with pytest.raises(BadInput, match=r"expected \*.parquet files in .*folder, got none"):
            call(Parquet(path="folder"), tmp_path)
        with pytest.raises(
            BadInput, match=r"expected a Parquet file or a folder of them at .*b, got nothing there"
        ):
            call(Parquet(path="b"), tmp_path)


def test_damaged_pages_are_refused(tmp_path: Path) -> None:
    settings = write(tmp_path, x=[[float(i)] for i in range(1000)])
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[:4] + b"\xff" * 40 + content[44:])
    with pytest.raises(BadInput, match=r"expected .*a.parquet to be readable, got"):
        read(settings, tmp_path)


@pytest.mark.skipif(
    "MADRAY_DATA" not in os.environ, reason="MADRAY_DATA names no folder with cifar10/*.parquet"
)
def test_the_real_cifar10_has_its_counts() -> None:
    data = Path(os.environ["MADRAY_DATA"])
    if not (data / "cifar10" / "test.parquet").is_file():
        pytest.skip("MADRAY_DATA has no cifar10/test.parquet")
    samples = read(Parquet(path="cifar10/test.parquet"), data)
    assert samples.shape == (3, 32, 32)
    assert samples.label_counts() == [200] * 10
