"""Folders and zips of images: what is read, in which order, with which labels, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from madray.errors import BadInput
from madray.references.content import content_digest, read
from madray.spec.references import Images


def encoded(image: Image.Image, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def flat(level: int) -> Image.Image:
    return Image.new("L", (4, 4), level)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def pack(path: Path, files: dict[str, bytes], below: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in reversed(files.items()):
            archive.writestr(below + name, content)
    return path


CLASSES = {
    "dog/2.png": encoded(noise(9, 12, 1)),
    "cat/b/1.JPG": encoded(noise(20, 8, 2), "JPEG"),
    "cat/10.png": encoded(noise(7, 7, 3)),
    "eel/1.bmp": encoded(noise(3, 5, 4), "BMP"),
}
CLUTTER = {"README.md": b"no image", ".hidden.png": b"", ".git/1.png": b"", "__MACOSX/cat/._1.png": b""}


def test_images_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    files = {
        f"{name}.png": encoded(flat(level)) for name, level in (("b", 2), ("a", 1), ("c/1", 4), ("B", 0))
    }
    samples = read(Images(path="faces", size=4, colour=False), write(tmp_path / "faces", files).parent)
    assert samples.values[:, 0, 0, 0].tolist() == [0, 1, 2, 4]
    assert samples.values.shape == (4, 1, 4, 4)
    assert samples.labels is None  # one image lies in a folder, the others in none


def test_a_folder_and_its_zips_give_the_same_samples_and_digest(tmp_path: Path) -> None:
    write(tmp_path / "folder", CLASSES | CLUTTER)
    write(tmp_path / "moved" / "folder", CLASSES)
    pack(tmp_path / "inside.zip", CLASSES | CLUTTER)
    pack(tmp_path / "around.zip", CLASSES | CLUTTER, below="folder/train/")
    settings = [Images(path=name, size=6) for name in ("folder", "moved", "inside.zip", "around.zip")]
    read_all = [read(each, tmp_path) for each in settings]
    assert len({samples.values.tobytes() for samples in read_all}) == 1
    assert len({content_digest(each, tmp_path) for each in settings}) == 1
    for samples in read_all:
        assert samples.labels is not None
        assert samples.labels.tolist() == [0, 0, 1, 2]
        assert samples.classes == 3
        assert samples.values.shape == (4, 3, 6, 6)
        assert samples.values.dtype == np.uint8


def test_labels_false_leaves_folders_out(tmp_path: Path) -> None:
    write(tmp_path, CLASSES)
    plain, without = (Images(path=".", size=2, labels=labels) for labels in (True, False))
    assert read(without, tmp_path).labels is None
    assert content_digest(plain, tmp_path) != content_digest(without, tmp_path)


def test_one_folder_alone_is_no_class(tmp_path: Path) -> None:
    write(tmp_path, {"cat/1.png": encoded(flat(0)), "cat/2.png": encoded(flat(0))})
    assert read(Images(path=".", size=2), tmp_path).labels is None


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("beside", "lacks"),
    [
        ("hen/", "hen"),
        ("hen/young/", "hen"),
        ("hen/README.md", "hen"),
        ("hen/1.heic", "hen"),
        (".hen/", None),
        ("__MACOSX/", None),
        ("README.md", None),
        ("dog/old/", None),  # the class has images
    ],
)
def test_a_folder_of_a_class_without_images_is_refused(
    tmp_path: Path, zipped: bool, beside: str, lacks: str | None
) -> None:
    for below, labels in (("", True), ("train/", True), ("", False)):
        path = tmp_path / f"{len(below)}{labels}"
        files = {f"{below}{name}": content for name, content in CLASSES.items()}
        if zipped:
            pack(path, files | {below + beside: b""})
        elif beside.endswith("/"):
            (write(path, files) / below / beside).mkdir(parents=True)
        else:
            write(path, files | {below + beside: b""})
        settings = Images(path=str(path), size=2, labels=labels)
        for call in (content_digest, read):
            if labels and lacks:
                told = rf"every class in {path}, got none in {below}{lacks}, try .* labels: false"
                with pytest.raises(BadInput, match=told):
                    call(settings, None)
            else:
                call(settings, None)


def test_beside_one_folder_an_empty_one_is_refused_and_one_of_other_things_is_not(tmp_path: Path) -> None:
    """Classes of which all but one are empty, and images beside their annotations."""
    write(tmp_path, {"cat/1.png": encoded(flat(0)), "notes/1.txt": b"a cat"})
    assert read(Images(path=".", size=2), tmp_path).labels is None
    (tmp_path / "dog").mkdir()
    with pytest.raises(BadInput, match="got none in dog"):
        read(Images(path=".", size=2), tmp_path)


def test_an_image_of_the_right_size_is_read_as_it_is(tmp_path: Path) -> None:
    image = noise(8, 8)
    write(tmp_path, {"1.png": encoded(image)})
    samples = read(Images(path=".", size=8), tmp_path)
    assert samples.values[0].tolist() == np.asarray(image).transpose(2, 0, 1).tolist()


@pytest.mark.parametrize("wide", [True, False])
def test_the_middle_square_is_kept(tmp_path: Path, wide: bool) -> None:
    # 0 … 9 along the long side of 10 × 4: the middle four are 3, 4, 5, 6.
    ramp = np.tile(np.arange(10, dtype=np.uint8), (4, 1))
    write(tmp_path, {"1.png": encoded(Image.fromarray(ramp if wide else ramp.T))})
    kept = read(Images(path=".", size=4, colour=False), tmp_path).values[0, 0]
    assert (kept if wide else kept.T).tolist() == [[3, 4, 5, 6]] * 4


def test_shrinking_smooths_first(tmp_path: Path) -> None:
    # Stripes of one pixel become their mean, not every other stripe.
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    write(tmp_path, {"1.png": encoded(Image.fromarray(stripes))})
    small = read(Images(path=".", size=8, colour=False), tmp_path).values.astype(int)
    assert np.abs(small - 127.5).max() < 12


def test_grey_and_colour_become_each_other(tmp_path: Path) -> None:
    write(tmp_path, {"1.png": encoded(Image.new("RGB", (2, 2), (255, 0, 0))), "2.png": encoded(flat(9))})
    colour = read(Images(path=".", size=2), tmp_path).values
    grey = read(Images(path=".", size=2, colour=False), tmp_path).values
    assert colour[:, :, 0, 0].tolist() == [[255, 0, 0], [9, 9, 9]]
    assert grey[:, :, 0, 0].tolist() == [[76], [9]]  # 0.299 of red


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_common_modes_are_read(tmp_path: Path, mode: str) -> None:
    write(tmp_path, {"1.png": encoded(Image.new("RGB", (2, 2), "white").convert(mode))})
    assert read(Images(path=".", size=2), tmp_path).values.tolist() == np.full((1, 3, 2, 2), 255).tolist()


def test_images_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).save(file, "PNG", exif=exif)
    write(tmp_path, {"1.png": file.getvalue()})
    assert read(Images(path=".", size=2, colour=False), tmp_path).values.tolist() == [[[[3, 2], [1, 0]]]]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("content", [b"", b"no image", encoded(noise(30, 30))[:-500]])
def test_a_file_that_does_not_decode_is_named(tmp_path: Path, zipped: bool, content: bytes) -> None:
    files = {"cat/1.png": encoded(flat(0)), "dog/broken.png": content}
    path = pack(tmp_path / "a.zip", files) if zipped else write(tmp_path / "a", files)
    with pytest.raises(BadInput, match=r"expected an image in .*dog/broken.png.*, got \d+ bytes") as error:
        read(Images(path=str(path), size=2), None)
    where = f"dog/broken.png in {path}" if zipped else str(path / "dog" / "broken.png")
    assert f"expected an image in {where}, got" in str(error.value)
    assert "\n" not in str(error.value)
    assert " at 0x" not in str(error.value)


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"1.png": encoded(Image.fromarray(np.full((2, 2), 40_000, np.uint16)))})
    with pytest.raises(BadInput, match=r"expected an image of 8 bits a channel in .*1.png, got mode I"):
        read(Images(path=".", size=2), tmp_path)


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"1.png": encoded(noise(9, 9))})
    content = path.read_bytes()
    path.write_bytes(content[:60] + b"damaged" + content[67:])
    for call in (content_digest, read):
        with pytest.raises(
            BadInput, match=r"expected 1.png in .*a.zip to be readable, got BadZipFile.*, try"
        ):
            call(Images(path="a.zip", size=2), tmp_path)
    path.write_bytes(b"no zip")
    for call in (content_digest, read):
        with pytest.raises(BadInput, match=r"expected a folder or a zip of images at .*a.zip, got"):
            call(Images(path="a.zip", size=2), tmp_path)


def test_nothing_there_is_refused_with_the_path_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for call in (content_digest, read):
        with pytest.raises(BadInput) as error:
            call(Images(path="faces", size=2), tmp_path)
        assert f"at {tmp_path / 'faces'}, got nothing there, try an absolute path, or --data" in str(
            error.value
        )
        with pytest.raises(BadInput, match=r"expected images \(.*\) in .*empty, got none"):
            call(Images(path="empty", size=2), tmp_path)


def test_a_path_is_relative_to_the_data_folder_or_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data" / "faces", {"1.png": encoded(flat(7))})
    monkeypatch.chdir(tmp_path)
    absolute = Images(path=str(tmp_path / "data" / "faces"), size=4)
    by_data, by_directory = Images(path="faces", size=4), Images(path="data/faces", size=4)
    digests = {
        content_digest(by_data, Path("data")),
        content_digest(by_directory, None),
        content_digest(absolute, None),
        content_digest(absolute, Path("elsewhere")),
    }
    assert len(digests) == 1
    assert len(read(by_directory, None)) == len(read(by_data, Path("data"))) == 1
