"""Images in a folder or a zip: any size, any common format, resized on reading."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from madray.errors import BadInput
from madray.references.files import File, files_below, is_shown, locate, reading
from madray.samples import SampleSet
from madray.spec.references import Images

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What is taken for an image; other files are passed over, and so are hidden ones."""


def read_images(settings: Images, data: Path | None) -> SampleSet:
    """All images of a folder or a zip, in the order of their paths; uint8, shape (n, channels, size, size).

    Each is turned upright (EXIF), cropped to its middle square and resized by Lanczos' filter, which
    smooths before it shrinks; transparency is dropped. Labels are the indices of the sorted names of the
    folders on top, where every image lies in one and there are at least two; None otherwise.

    Raises: BadInput, if nothing is at the path, if no image is in it, or, naming it, if a file does not
    decode, or a folder of a class has no image.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         Path(folder, name).mkdir()
    ...         Image.new("RGB", (6, 4), "red").save(Path(folder, name, "1.png"))
    ...     samples = read_images(Images(path=folder, size=2), None)
    >>> samples.values[0, :, 0, 0].tolist(), samples.labels.tolist()
    ([255, 0, 0], [0, 1])
    """
    path = locate(settings.path, data, "a folder or a zip of images")
    with image_files(path, classes=settings.labels) as files:
        values = np.empty((len(files), 3 if settings.colour else 1, settings.size, settings.size), np.uint8)
        for i, file in enumerate(files):
            with reading(file) as stream:
                encoded = stream.read()
            values[i] = decode_image(encoded, settings.size, colour=settings.colour, where=file.where)
    labels, classes = _labels(files) if settings.labels else (None, None)
    return SampleSet(values, labels, classes)


@contextmanager
def image_files(path: Path, *, classes: bool = False) -> Iterator[list[File]]:
    """The images of a folder or a zip, sorted by name; folders that all of them share are left out.

    A zip of a folder so gives the names that the folder gives.

    Args:
        classes: whether folders are classes, each of which then has to have an image.

    Raises: BadInput, if there are none, if the path is neither a folder nor a zip, or, naming it, if the
        folder of a class has no image.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "faces.zip")
    ...     with zipfile.ZipFile(path, "w") as archive:
    ...         archive.writestr("faces/2.png", b"")
    ...         archive.writestr("faces/1.png", b"")
    ...     with image_files(path) as files:
    ...         [file.name for file in files]
    ['1.png', '2.png']
    """
    if path.is_dir():
        found = files_below(path, SUFFIXES)
        if classes:
            _refuse_classes_without_images(found, _names_below(path), path)
        yield _without_shared_folders(found, path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise BadInput(
            f"expected a folder or a zip of images at {path}, got {type(error).__name__}: {error}, "
            "try another path"
        ) from None
    with archive:
        entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
        found = [
            File(name, f"{name} in {path}", partial(archive.open, entries[name]))
            for name in sorted(entries)
            if is_shown(name, SUFFIXES)
        ]
        if classes:
            _refuse_classes_without_images(found, archive.namelist(), path)
        yield _without_shared_folders(found, path)


def decode_image(encoded: bytes, size: int | None, *, colour: bool, where: str) -> NDArray[np.uint8]:
    """One encoded image as uint8, shape (3 or 1, height, width); (…, size, size) where a size is given.

    Raises: BadInput, naming `where`, if the bytes do not decode, or have more than 8 bits a channel.

    >>> file = io.BytesIO()
    >>> Image.new("L", (5, 3), 7).save(file, "PNG")
    >>> decode_image(file.getvalue(), None, colour=False, where="a test").shape
    (1, 3, 5)
    """
    try:
        with Image.open(io.BytesIO(encoded)) as opened:
            mode = opened.mode
            if not mode.startswith(("I", "F")):
                image = ImageOps.exif_transpose(opened).convert("RGB" if colour else "L")
    except Exception as error:  # each decoder has errors of its own for what is damaged
        # Pillow's message for what it does not know names an object in memory.
        told = "unknown bytes" if isinstance(error, UnidentifiedImageError) else f"{error}"
        raise BadInput(
            f"expected an image in {where}, got {len(encoded)} bytes that do not decode ({told}), "
            "try taking it out"
        ) from error
    if mode.startswith(("I", "F")):
        raise BadInput(
            f"expected an image of 8 bits a channel in {where}, got mode {mode}, try converting it"
        )
    if size is not None:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.resize((size, size), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
    pixels = np.asarray(image, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _names_below(folder: Path) -> list[str]:
    """As a zip of the folder would name what is in it: folders end in a slash."""
    return [
        found.relative_to(folder).as_posix() + "/" * found.is_dir() for found in sorted(folder.rglob("*"))
    ]


def _refuse_classes_without_images(files: Sequence[File], names: Sequence[str], path: Path) -> None:
    """Where every image lies in a folder of its class, no folder beside those may lack images.

    Beside a single folder, which is no class, one of other things may stand, but none that is empty.
    """
    shared = _shared_folders(files)
    below = [file.name.split("/")[len(shared) :] for file in files]
    alone = all(len(parts) == 1 for parts in below)
    if alone and shared:
        shared, below = shared[:-1], [[shared[-1], *parts] for parts in below]
    if any(len(parts) == 1 for parts in below):
        return
    taken = {parts[0] for parts in below}
    held: dict[str, bool] = {}
    for name in names:
        parts = name.split("/")
        place = len(shared)
        if parts[:place] == shared and len(parts) > place + 1 and is_shown(parts[place], ("",)):
            held[parts[place]] = held.get(parts[place], False) or bool(parts[-1])
    for folder in sorted(held):
        if folder not in taken and not (alone and held[folder]):
            where = "/".join([*shared, folder])
            raise BadInput(
                f"expected an image in the folder of every class in {path}, got none in {where}, "
                "try taking that folder out, or labels: false"
            )


def _shared_folders(files: Sequence[File]) -> list[str]:
    folders = [file.name.split("/")[:-1] for file in files]
    first, last = min(folders, default=[]), max(folders, default=[])  # what these two share, all share
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return first[:shared]


def _without_shared_folders(files: Sequence[File], path: Path) -> list[File]:
    if not files:
        raise BadInput(f"expected images ({', '.join(SUFFIXES)}) in {path}, got none, try another path")
    shared = len(_shared_folders(files))
    return [replace(file, name="/".join(file.name.split("/")[shared:])) for file in files]


def _labels(files: Sequence[File]) -> tuple[NDArray[np.int64], int] | tuple[None, None]:
    folders = [file.name.split("/")[0] if "/" in file.name else None for file in files]
    names = sorted({name for name in folders if name is not None})
    if None in folders or len(names) < 2:
        return None, None
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[name] for name in folders if name is not None], np.int64), len(names)
