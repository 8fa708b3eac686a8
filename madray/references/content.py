"""A finite reference's content: its digest, which stands in keys, and its samples. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from madray.errors import BadInput
from madray.keys import digest
from madray.references import digits
from madray.references.files import File, locate, sha256
from madray.references.images import image_files
from madray.references.parquet import parquet_files
from madray.references.torchvision import raw_files
from madray.samples import SampleSet
from madray.spec.imported import load_object
from madray.spec.references import AnyReference, Digits, Images, Parquet, Torchvision


def content_digest(settings: AnyReference, data: Path | None) -> str | None:
    """The digest of what a finite reference is made of; None for references that make their samples.

        digest(settings without paths, [(name, SHA-256 of the bytes)] of its files, sorted by name)

    Only the files that are read count: of a data set of torchvision's those of its split, of a folder its
    images, unpacked where they lie packed. A zip has the digest of the folder that it was made from, and
    a folder keeps its digest when it is moved.

    Args:
        settings: the reference's.
        data: the folder of `--data` or MADRAY_DATA, or None. `path` settings are relative to it, or to
            the working directory without.

    Raises: BadInput, in one line, if files are missing: what was expected, where, and what to do.

    >>> from madray.spec.references import Gaussian
    >>> content_digest(Gaussian(), None) is None
    True
    >>> content_digest(Digits(), None) == content_digest(Digits(), Path("anywhere"))
    True
    """
    if not settings.finite:
        return None
    return digest({"settings": settings.canonical(), "content": _content(settings, data)})


def read(settings: AnyReference, data: Path | None) -> SampleSet:
    """All samples of a finite reference, in an order that its content fixes.

    Raises: BadInput, if the reference is not finite, or its files are missing or not what they should be.

    >>> len(read(Digits(), None))
    1797
    """
    if not settings.finite:
        raise BadInput(
            f"expected a finite reference to read, got {settings.kind}, try build_reference(settings)"
        )
    samples: SampleSet = load_object(settings.implementation)(settings, data)
    return samples


def _content(settings: AnyReference, data: Path | None) -> object:
    if isinstance(settings, Digits):
        return digits.CONTENT
    if isinstance(settings, Torchvision):
        return _hashes(raw_files(settings, data))
    if isinstance(settings, Images):
        path = locate(settings.path, data, "a folder or a zip of images")
        with image_files(path, classes=settings.labels) as files:
            return _hashes(files)
    if isinstance(settings, Parquet):
        path = locate(settings.path, data, "a Parquet file or a folder of them")
        files = parquet_files(path)
        return sha256(files[0]) if path.is_file() else _hashes(files)
    raise TypeError(f"expected a finite reference of madray's own, got {type(settings).__name__}")


def _hashes(files: Iterable[File]) -> list[list[str]]:
    return [[file.name, sha256(file)] for file in files]
