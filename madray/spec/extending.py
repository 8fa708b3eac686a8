"""Sweep files that extend others: `extends: base.yaml` reads that file first, and this one over it.

    name: fig04_mnist_medium
    extends: fig04_mnist.yaml      # beside this file; it may extend another one itself
    chain: {n_ini: 6000, n_s: 6000}

What both files give is merged, mapping by mapping; of numbers, names and lists this file's count. A part of
another `kind` is another part, and replaces the whole. What `chain` (or `theory`) of this file fixes is no
longer varied by the grid of the other file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from madray.errors import BadInput
from madray.spec.base import show
from madray.spec.document import load_file

EXTENDS = "extends"
"""The field that names the file which is extended. No sweep has it once it is read."""


def read_extended(path: Path) -> tuple[str, dict[str, Any]]:
    """What errors call the sweep in a file, and its data, with those of the files that it extends.

    Raises: BadInput, if one of the files cannot be read, or they extend each other in a circle.
    """
    files = [(path, load_file(path))]
    while EXTENDS in files[-1][1]:
        files.append(_next(files))
    (*_, (_, merged)) = files
    for _, raw in reversed(files[:-1]):
        merged = merge(merged, {name: value for name, value in raw.items() if name != EXTENDS})
    return _named([path for path, _ in files]), merged


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One sweep's data over another's.

    >>> base = {"chain": {"lambda": 1, "generator": {"kind": "ddpm", "width": 64}}, "grid": {"n_s": [5, 9]}}
    >>> merge(base, {"chain": {"generator": {"width": 32}, "n_s": 7}})["chain"]["generator"]
    {'kind': 'ddpm', 'width': 32}
    >>> merge(base, {"chain": {"n_s": 7}})["grid"]
    {}
    >>> merge(base, {"chain": {"generator": {"kind": "gmm"}}})["chain"]
    {'lambda': 1, 'generator': {'kind': 'gmm'}}
    """
    grid = base.get("grid")
    if isinstance(grid, Mapping):
        varied = {path: values for path, values in grid.items() if not _fixes(over, str(path))}
        base = {**base, "grid": varied}
    return _mappings(base, over)


def _next(files: Sequence[tuple[Path, dict[str, Any]]]) -> tuple[Path, dict[str, Any]]:
    """The file that the last of these extends."""
    path, raw = files[-1]
    named = raw[EXTENDS]
    if not isinstance(named, str) or not named:
        raise BadInput(f"{path}: {EXTENDS}: expected the path of a sweep file, got {show(named)}")
    extended = path.parent / named
    way = [each for each, _ in files]
    if extended.resolve() in [each.resolve() for each in way]:
        told = " → ".join(map(str, [*way, extended]))
        raise BadInput(f"{path}: {EXTENDS}: expected files that do not extend themselves, got {told}")
    try:
        return extended, load_file(extended)
    except BadInput as error:
        raise BadInput(f"{_named(way)}, which extends {error}") from None


def _named(way: Sequence[Path]) -> str:
    return ", which extends ".join(map(str, way))


def _fixes(raw: Mapping[str, Any], path: str) -> bool:
    """Whether a file gives a field of the cells one value."""
    here: Any = raw.get("chain", raw.get("theory"))
    for part in path.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True


def _mappings(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: _merged(base[name], value) if name in base else value for name, value in over.items()}
    return {**base, **both}


def _merged(base: Any, over: Any) -> Any:
    if not isinstance(over, Mapping):
        return over
    if isinstance(base, str) and "kind" not in over:
        base = {"kind": base}  # `generator: ddpm` and {width: 64} are a ddpm of that width, as with --set
    if not isinstance(base, Mapping) or over.get("kind", base.get("kind")) != base.get("kind"):
        return over
    return _mappings(base, over)
