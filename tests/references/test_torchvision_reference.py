"""torchvision's data sets: hand-made ones in its layout, and the real MNIST where MADRAY_DATA has it."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision import datasets

from madray.errors import BadInput
from madray.references.content import content_digest, read
from madray.references.torchvision import raw_files, read_torchvision
from madray.spec.references import CIFAR10, MNIST, FashionMNIST

RAW = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array: NDArray[np.uint8]) -> bytes:
    """The IDX format: 0, 0, 8 for bytes, the number of axes, each axis as a big-endian uint32, the bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def tiny(split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    n = {"train": 6, "test": 4}[split]
    images = np.arange(n * 28 * 28, dtype=np.uint32).reshape(n, 28, 28) % 251 + n
    return images.astype(np.uint8), (np.arange(n, dtype=np.uint8) * 3) % 10


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with an MNIST of 6 and 4 images."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = tiny(split)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def pack(raw: Path) -> None:
    for name in RAW:
        (raw / f"{name}.gz").write_bytes(gzip.compress((raw / name).read_bytes()))
        (raw / name).unlink()


@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_is_read_as_bytes_with_one_channel(data: Path, split: str) -> None:
    samples = read_torchvision(MNIST.model_validate({"split": split}), data)
    images, labels = tiny(split)
    assert samples.values.dtype == np.uint8
    assert samples.values.tolist() == images[:, None].tolist()
    assert samples.labels is not None
    assert samples.labels.tolist() == labels.tolist()
    assert samples.classes == 10


def test_fashion_mnist_lies_in_a_folder_of_its_own(data: Path) -> None:
    (data / "MNIST").rename(data / "FashionMNIST")
    assert len(read(FashionMNIST(), data)) == 6
    with pytest.raises(BadInput, match="expected MNIST in"):
        read(MNIST(), data)


def test_packed_files_are_read_and_have_the_digest_of_the_unpacked(data: Path) -> None:
    plain, digest = read(MNIST(), data), content_digest(MNIST(), data)
    pack(data / "MNIST" / "raw")
    before = sorted(data.rglob("*"))
    assert content_digest(MNIST(), data) == digest
    assert read(MNIST(), data).values.tobytes() == plain.values.tobytes()
    assert sorted(data.rglob("*")) == before  # the data folder may be read-only


def test_what_old_torchvision_left_is_not_read_in_place_of_the_raw_files(data: Path) -> None:
    old = (torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    (data / "MNIST" / "processed").mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save(old, data / "MNIST" / "processed" / name)
    assert len(read(MNIST(), data)) == 6


@pytest.mark.parametrize("name", RAW)
def test_a_missing_file_is_named_with_what_to_do(data: Path, name: str) -> None:
    (data / "MNIST" / "raw" / name).unlink()
    for call in (content_digest, read):
        with pytest.raises(BadInput) as error:
            call(MNIST(), data)
        told = str(error.value)
        assert f"expected MNIST in {data / 'MNIST' / 'raw'}, got no {name}, try --data FOLDER" in told
        assert "MADRAY_DATA" in told
        assert "{kind: mnist, download: true}" in told
        assert "\n" not in told


def test_no_data_folder_is_refused_with_what_to_do() -> None:
    for call in (content_digest, read):
        with pytest.raises(
            BadInput, match=r"expected a data folder with MNIST/raw in it, got none, try --data"
        ):
            call(MNIST(download=True), None)


def damage_header(raw: Path) -> None:
    (raw / RAW[0]).write_bytes(b"not an IDX file")


def lose_images(raw: Path) -> None:
    (raw / RAW[0]).write_bytes((raw / RAW[0]).read_bytes()[:-100])


def lose_labels(raw: Path) -> None:
    (raw / RAW[1]).write_bytes(idx(np.zeros(3, np.uint8)))


def label_beyond(raw: Path) -> None:
    (raw / RAW[1]).write_bytes(idx(np.full(6, 10, np.uint8)))


def damage_packed(raw: Path) -> None:
    (raw / RAW[0]).unlink()
    (raw / f"{RAW[0]}.gz").write_bytes(b"\x1f\x8bnot a gzip")


@pytest.mark.parametrize("damage", [damage_header, lose_images, lose_labels, label_beyond, damage_packed])
def test_damaged_files_are_refused_in_one_line(data: Path, damage: Callable[[Path], None]) -> None:
    raw = data / "MNIST" / "raw"
    damage(raw)
    with pytest.raises(BadInput, match=r"expected torchvision to read MNIST in .*, got .*, try") as error:
        read(MNIST(), data)
    assert str(raw) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_digest_is_of_the_split_alone(data: Path) -> None:
    train, test = content_digest(MNIST(), data), content_digest(MNIST(split="test"), data)
    assert train != test
    file = data / "MNIST" / "raw" / RAW[0]
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    assert content_digest(MNIST(), data) != train
    assert content_digest(MNIST(split="test"), data) == test
    assert [file.name for file in raw_files(MNIST(split="test"), data)] == list(RAW[2:])


def test_download_is_no_part_of_the_digest(data: Path) -> None:
    assert content_digest(MNIST(download=True), data) == content_digest(MNIST(), data)


@contextmanager
def mirror(folder: Path) -> Iterator[str]:
    """The address of a web server for a folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_download_fetches_what_is_missing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = data / "MNIST" / "raw"
    digest = content_digest(MNIST(), data)
    pack(raw)
    sums = [(f"{name}.gz", hashlib.md5((raw / f"{name}.gz").read_bytes()).hexdigest()) for name in RAW]
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    empty = data / "empty"
    with mirror(raw) as address:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
        with pytest.raises(BadInput, match="download: true"):
            content_digest(MNIST(), empty)
        assert not empty.exists()
        assert content_digest(MNIST(download=True), empty) == digest
    assert len(read(MNIST(), empty)) == 6


def test_a_download_that_fails_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"file://{tmp_path}/nothing/"])
    with pytest.raises(BadInput, match=r"expected to download MNIST to .*, got .*, try --data") as error:
        content_digest(MNIST(download=True), tmp_path)
    assert "\n" not in str(error.value)


def test_cifar10_is_read_with_channels_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # torchvision checks MD5 sums before it unpickles; here they are those of hand-made batches.
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8) for name in "12345t"}

    def write(name: str, content: object) -> tuple[str, str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return name, hashlib.md5((folder / name).read_bytes()).hexdigest()

    def batch(name: str, key: str) -> tuple[str, str]:
        return write(name, {"data": images[key].reshape(2, -1), "labels": [int(key, 36) % 10, 9]})

    train, test = [batch(f"data_batch_{i}", i) for i in "12345"], [batch("test_batch", "t")]
    name, md5 = write("batches.meta", {"label_names": list("abcdefghij")})
    with pytest.raises(BadInput, match="expected torchvision to read CIFAR10"):
        read(CIFAR10(), tmp_path)
    monkeypatch.setattr(datasets.CIFAR10, "train_list", train)
    monkeypatch.setattr(datasets.CIFAR10, "test_list", test)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})
    samples = read(CIFAR10(), tmp_path)
    assert samples.values.tobytes() == np.concatenate([images[key] for key in "12345"]).tobytes()
    assert samples.label_counts() == [0, 1, 1, 1, 1, 1, 0, 0, 0, 5]
    assert read(CIFAR10(split="test"), tmp_path).values.tobytes() == images["t"].tobytes()
    assert content_digest(CIFAR10(), tmp_path) != content_digest(CIFAR10(split="test"), tmp_path)
    shutil.copy(folder / "data_batch_1", folder / "data_batch_2")
    with pytest.raises(BadInput, match="expected torchvision to read CIFAR10"):
        read(CIFAR10(), tmp_path)


@pytest.mark.skipif("MADRAY_DATA" not in os.environ, reason="MADRAY_DATA names no folder with the real MNIST")
def test_the_real_mnist_has_its_counts() -> None:
    data = Path(os.environ["MADRAY_DATA"])
    if not (data / "MNIST" / "raw").is_dir():
        pytest.skip("MADRAY_DATA has no MNIST/raw")
    samples = read(MNIST(), data)
    assert samples.values.shape == (60_000, 1, 28, 28)
    assert samples.label_counts() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert len(read(MNIST(split="test"), data)) == 10_000
    # 33.3184 is the known mean of the training images, in levels of 255.
    assert samples.values.mean() == pytest.approx(33.3184, abs=1e-4)
