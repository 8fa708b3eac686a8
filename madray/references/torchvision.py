"""Data sets in torchvision's layout, read by torchvision's own classes. Importing this loads no torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from madray.errors import BadInput
from madray.references.files import File
from madray.samples import SampleSet
from madray.spec.references import Torchvision


@dataclass(frozen=True)
class Layout:
    """Where torchvision keeps a data set, and which files it will not do without.

    Attributes:
        dataset: the name of torchvision's class.
        folder: below the data folder.
        splits: the files of each split.
        others: files that hold no samples.
        packed: whether a file may also lie there with `.gz`.
    """

    dataset: str
    folder: str
    splits: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...] = ()
    packed: bool = False

    @property
    def names(self) -> list[str]:
        """Every file that torchvision asks for, whichever split is read."""
        return [name for split in self.splits.values() for name in split] + list(self.others)


_IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
LAYOUTS = {
    "mnist": Layout("MNIST", "MNIST/raw", _IDX, packed=True),
    "fashion_mnist": Layout("FashionMNIST", "FashionMNIST/raw", _IDX, packed=True),
    "cifar10": Layout(
        "CIFAR10",
        "cifar-10-batches-py",
        {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
        others=("batches.meta",),
    ),
}


def raw_files(settings: Torchvision, data: Path | None) -> list[File]:
    """The files that the samples of a split lie in; downloaded before, if `download` says so.

    Raises: BadInput, if no data folder is given, or if files are not there, of either split: torchvision
    reads none without the other.

    >>> from madray.spec.references import MNIST
    >>> raw_files(MNIST(), Path("nowhere"))
    Traceback (most recent call last):
    madray.errors.BadInput: expected MNIST in .../nowhere/MNIST/raw, got no train-images-idx3-ubyte, ...
    """
    of_split = LAYOUTS[settings.kind].splits[settings.split]
    return [file for file in _all_files(settings, _given(settings, data)) if file.name in of_split]


def read_torchvision(settings: Torchvision, data: Path | None) -> SampleSet:
    """All images of a split, uint8 of shape (n, channels, height, width), with labels in [0, 10).

    Raises: BadInput, if files are not there, or if torchvision cannot read them.

    Source: LeCun et al. 1998 (mnist); Xiao et al. 2017, arXiv:1708.07747 (fashion_mnist);
    Krizhevsky 2009 (cifar10).

    >>> from madray.spec.references import CIFAR10
    >>> read_torchvision(CIFAR10(split="test"), None)
    Traceback (most recent call last):
    madray.errors.BadInput: expected a data folder with cifar-10-batches-py in it, got none, try --data ...
    """
    data = _given(settings, data)
    files = _all_files(settings, data)
    layout = LAYOUTS[settings.kind]
    try:
        with _root(layout, data, files) as root:
            dataset = _dataset_class(layout)(root, train=settings.split == "train")
        images = np.asarray(dataset.data)  # (n, height, width), or (n, height, width, 3) in colour
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        return SampleSet(np.ascontiguousarray(images), np.asarray(dataset.targets, np.int64), 10)
    except Exception as error:  # torchvision lets any error out that a damaged file leads to
        raise BadInput(
            f"expected torchvision to read {layout.dataset} in {data / layout.folder}, "
            f"got {_told(error)}, try fetching its files again"
        ) from error


def _given(settings: Torchvision, data: Path | None) -> Path:
    if data is None:
        raise BadInput(
            f"expected a data folder with {LAYOUTS[settings.kind].folder} in it, got none, "
            "try --data FOLDER or MADRAY_DATA=FOLDER"
        )
    return data.absolute()


def _all_files(settings: Torchvision, data: Path) -> list[File]:
    """Every file that torchvision asks for, whichever split is read."""
    layout = LAYOUTS[settings.kind]
    folder = data / layout.folder
    if settings.download and not all(_lies_in(folder, name, layout) for name in layout.names):
        _download(layout, data)
    files = []
    for name in layout.names:
        path = _lies_in(folder, name, layout)
        if path is None:
            raise BadInput(
                f"expected {layout.dataset} in {folder}, got no {name}, "
                f"try --data FOLDER or MADRAY_DATA=FOLDER with {layout.folder} in it, "
                f"or {{kind: {settings.kind}, download: true}}"
            )
        files.append(File.at(path, name))
    return files


def _lies_in(folder: Path, name: str, layout: Layout) -> Path | None:
    candidates = [folder / name, *([folder / f"{name}.gz"] if layout.packed else [])]
    return next((path for path in candidates if path.is_file()), None)


@contextmanager
def _root(layout: Layout, data: Path, files: Sequence[File]) -> Iterator[Path]:
    """The data folder, or, where torchvision would not read these very files in it, a copy of them.

    It reads packed files only when it may download, and before the files of MNIST it takes what its old
    versions left in `processed`, which no digest was made of.
    """
    folder = data / layout.folder
    leftovers = layout.packed and (folder.parent / "processed").exists()
    if not leftovers and all((folder / name).is_file() for name in layout.names):
        yield data
        return
    with TemporaryDirectory() as temporary:
        copies = Path(temporary, layout.folder)
        copies.mkdir(parents=True)
        for file in files:
            with file.open() as source, (copies / file.name).open("wb") as target:
                shutil.copyfileobj(source, target)
        yield Path(temporary)


def _dataset_class(layout: Layout) -> Any:
    from torchvision import datasets

    return getattr(datasets, layout.dataset)


def _download(layout: Layout, data: Path) -> None:
    try:
        _dataset_class(layout)(data, download=True)
    except Exception as error:  # no network, no space, no permission, a changed file: each its own error
        raise BadInput(
            f"expected to download {layout.dataset} to {data}, got {_told(error)}, "
            f"try --data FOLDER with {layout.folder} in it"
        ) from error


def _told(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
