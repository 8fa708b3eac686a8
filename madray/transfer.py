"""Copies a sweep with all that it needs from one store into another: what `export` and `import` do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from madray.artifacts import Marker
from madray.bundles import bundles_of
from madray.engine.needs import needs_of
from madray.engine.targets import Names
from madray.errors import BadInput, Missing
from madray.forest import RECORD
from madray.growth import Pair
from madray.ledger import Ledger
from madray.store import Store

_AT_A_TIME = 8
"""How many artifacts are copied at a time: enough to hide round trips, few enough to hold in memory."""


@dataclass(frozen=True)
class Copied:
    """What a copy amounts to.

    Attributes:
        artifacts: how many were copied; those that were there already are not counted.
        damaged: how many could not be, because their checksums do not agree.
        missing: how many were made, as the sweep's rows say, and are not in the source any more.
        is_all: whether these are all. If not, the sweep's file makes other keys today, and samples, features
            and measurements whose keys cannot be told any more stayed behind.
    """

    artifacts: int
    size_bytes: int
    damaged: int
    missing: int = 0
    is_all: bool = True


def copy_sweep(source: Store, target: Store, name: str, *, told: Callable[[int, int], None]) -> Copied:
    """Copy a sweep: its records and rows, and of what it needs all that is made.

    Broken off, it goes on where it was: what stands in the target is not copied again. Everything is checked
    against its checksum on the way. Records and rows come last, so that a sweep is never seen without what
    they speak of.

    Where the sweep's file makes other keys today than its record has, what the record and the rows name is
    copied as well; `notes` of the source say so.

    Args:
        told: called with how many artifacts are done, and how many there are.

    Raises: BadInput, if the source has no such sweep, the target another one of this name, or cannot be
        written.
    """
    needed = needs_of(source, name)
    needs = needed.files
    target.claim()
    _refuse_another(source, target, name)
    files = Ledger(source, name).files()
    markers = source.markers(needs)
    own = {pair: marker for pair, marker in markers.items() if not bundles_of([marker])}
    own |= source.own_markers(sorted(bundles_of(markers.values())))
    there = target.markers(own)
    left = [pair for pair in sorted(own) if not _is_there(own[pair], there.get(pair), needs.get(pair))]
    sizes = []
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for size in pool.map(lambda pair: _copy(source, target, pair, own[pair], needs.get(pair)), left):
            sizes.append(size)
            told(len(sizes), len(left))
    for path, data in files.items():
        target.put(path, data)
    made = [size for size in sizes if size is not None]
    missing = sum(_is_missing(pair, names, markers.get(pair)) for pair, names in needed.made.items())
    return Copied(len(made), sum(made), len(sizes) - len(made), missing, needed.is_all)


def _refuse_another(source: Store, target: Store, name: str) -> None:
    there = Ledger(target, name).find()
    if there is not None and there.text != Ledger(source, name).record().text:
        raise BadInput(
            f"expected no other sweep called {name} in {target.shown}, got one with other settings; "
            f"try another store, or madray remove {name} --store {target.shown}"
        )


def _wanted(marker: Marker, names: Names) -> list[str]:
    return [name for name in marker.files if names is None or name in names]


def _is_missing(pair: Pair, names: Names, marker: Marker | None) -> bool:
    """Whether an artifact is not there, or a generation has no weights that should have."""
    has_weights = names is None and pair[0] == "generations"
    return marker is None or (has_weights and set(marker.files) == {RECORD})


def _is_there(marker: Marker, there: Marker | None, names: Names) -> bool:
    return there is not None and all(name in there.files for name in _wanted(marker, names))


def _copy(source: Store, target: Store, pair: Pair, marker: Marker, names: Names) -> int | None:
    """Copy an artifact; its bytes, or None where it is damaged."""
    kind, key = pair
    try:
        files = source.read(kind, key, *_wanted(marker, names))
    except Missing:
        return None
    target.commit(kind, key, files)
    return sum(map(len, files.values()))
