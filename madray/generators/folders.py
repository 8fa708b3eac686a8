"""A fitted model in a folder: arrays as safetensors, the rest as JSON, and never a pickle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from madray.errors import Damaged
from madray.keys import FORMAT_VERSION

ARRAYS = "model.safetensors"
WORDS = "model.json"


def write_model(folder: Path, arrays: Mapping[str, NDArray[Any]], told: Mapping[str, Any]) -> None:
    """Write named arrays and plain words into a folder that stands.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     write_model(Path(name), {"mean": np.zeros(2)}, {"shape": [2]})
    ...     read_model(Path(name), arrays=["mean"], told=["shape"])
    ({'mean': array([0., 0.])}, {'shape': [2]})
    """
    # safetensors writes the memory as it lies: a transposed view would come back as another array.
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
    text = json.dumps({"format": FORMAT_VERSION, **told}, indent=1, ensure_ascii=False)
    (folder / WORDS).write_text(text + "\n", encoding="utf-8")


def read_model(
    folder: Path, *, arrays: Iterable[str] = (), told: Iterable[str] = ()
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `write_model` wrote there.

    Args:
        arrays, told: names that must be there.

    Raises: Damaged, if a file or a name is missing, does not parse, or is of another format.
    """
    try:
        found = load_file(folder / ARRAYS)
        words = json.loads((folder / WORDS).read_text(encoding="utf-8"))
        written = words.pop("format")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(
            f"expected a model in {folder}, got {type(error).__name__}: {error}; try making it again"
        ) from error
    if written != FORMAT_VERSION:
        raise Damaged(f"expected a model of format {FORMAT_VERSION} in {folder}, got {written}")
    missing = (set(arrays) - set(found)) | (set(told) - set(words))
    if missing:
        raise Damaged(f"expected {sorted(missing)} in {folder}, got {sorted({*found, *words})}")
    return found, words
