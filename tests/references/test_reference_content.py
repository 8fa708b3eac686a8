"""Content digests: stable, sensitive to one byte, and made without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from madray.errors import BadInput
from madray.references.content import content_digest, read
from madray.references.files import locate
from madray.spec.references import (
    GMM25,
    AnyReference,
    Digits,
    Gaussian,
    Images,
    ImportedReference,
    Parquet,
    Rosenbrock,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for i in range(3):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / "images" / f"{i}.png")
        (tmp_path / "tables").mkdir(exist_ok=True)
        pq.write_table(pa.table({"x": [[float(i)]]}), tmp_path / "tables" / f"{i}.parquet")
    return tmp_path


FINITE = [Images(path="images", size=4), Parquet(path="tables"), Parquet(path="tables/1.parquet")]


@pytest.mark.parametrize(
    "settings",
    [Gaussian(), GMM25(), Rosenbrock(), ImportedReference(kind="madray.references.finite:FiniteReference")],
)
def test_references_that_are_not_finite_have_no_content(settings: AnyReference, tmp_path: Path) -> None:
    assert content_digest(settings, None) is None
    assert content_digest(settings, tmp_path) is None
    with pytest.raises(BadInput, match="expected a finite reference to read, got"):
        read(settings, tmp_path)


def test_the_digest_of_the_digits_is_a_constant() -> None:
    # A change of it makes every sweep on the digits anew: raise Digits.version, and say so.
    assert content_digest(Digits(), None) == "ad4a70146288519d206d7fffbc294c4d4da8d1bb"


@pytest.mark.parametrize("settings", FINITE)
def test_the_digest_is_stable(settings: AnyReference, data: Path) -> None:
    digest = content_digest(settings, data)
    assert digest is not None
    assert len(digest) == 40
    (data / "images" / "README.md").write_text("a file that is not read")
    (data / "tables" / "README.md").write_text("a file that is not read")
    assert content_digest(settings, data) == digest


@pytest.mark.parametrize("settings", FINITE)
def test_the_digest_sees_one_changed_byte(settings: AnyReference, data: Path) -> None:
    digest = content_digest(settings, data)
    for name in ("images/1.png", "tables/1.parquet"):
        content = bytearray((data / name).read_bytes())
        content[len(content) // 2] ^= 1
        (data / name).write_bytes(content)
    assert content_digest(settings, data) != digest


@pytest.mark.parametrize("settings", FINITE[:2])
def test_the_digest_sees_a_file_more_and_a_new_name(settings: AnyReference, data: Path) -> None:
    digests = [content_digest(settings, data)]
    for folder, suffix in (("images", "png"), ("tables", "parquet")):
        (data / folder / f"0.{suffix}").rename(data / folder / f"9.{suffix}")
    digests.append(content_digest(settings, data))
    for folder, suffix in (("images", "png"), ("tables", "parquet")):
        (data / folder / f"0.{suffix}").write_bytes((data / folder / f"9.{suffix}").read_bytes())
    digests.append(content_digest(settings, data))
    assert len(set(digests)) == 3


def test_the_digest_sees_settings_and_not_paths(data: Path) -> None:
    images = Images(path="images", size=4)
    digest = content_digest(images, data)
    (data / "images").rename(data / "faces")
    assert content_digest(Images(path="faces", size=4), data) == digest
    assert content_digest(Images(path="faces", size=2), data) != digest
    assert content_digest(Images(path="faces", size=4, colour=False), data) != digest
    table = content_digest(Parquet(path="tables/1.parquet"), data)
    (data / "tables" / "1.parquet").rename(data / "one.parquet")
    assert content_digest(Parquet(path="one.parquet"), data) == table


def test_a_home_directory_is_understood(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(data))
    assert locate("~/images", Path("elsewhere"), "images") == data / "images"


def test_digests_load_no_torch(data: Path) -> None:
    raw = data / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"any bytes")
    program = """
import sys
from pathlib import Path
import madray.references
assert not {"torch", "sklearn", "torchvision"} & set(sys.modules), "by import madray.references"
from madray.references.content import content_digest
from madray.spec.references import MNIST, Digits, Gaussian, Images, Parquet
data = Path(sys.argv[1])
files = (MNIST(), MNIST(download=True), Images(path="images", size=4), Parquet(path="tables"))
for settings in (Gaussian(), Digits(), *files):
    content_digest(settings, data)
madray.references.build_reference(Gaussian())
loaded = {"torch", "sklearn", "torchvision", "ray", "mlflow"} & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(data)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
