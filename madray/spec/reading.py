"""Reads a sweep file: YAML → overrides → the sweep → its cells, each a checked chain, or checked theory."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from madray.errors import BadInput
from madray.keys import canonical
from madray.spec.base import nearest, show
from madray.spec.chain import Chain
from madray.spec.document import dump, load, load_value
from madray.spec.extending import EXTENDS, read_extended
from madray.spec.problems import first_problem
from madray.spec.sweep import Subject, Sweep
from madray.spec.theory import AnyTheory, read_theory, theory_fields

_CELLS_DECIDE = frozenset({"n", "n_fixed", "n_ini", "n_r", "n_s", "p", "lambda", "measure_bias", "memory"})
"""Fields that are right or wrong by other fields of the cell."""

_FIELDS: dict[Subject, list[str]] = {"chain": [*Chain.known_fields().values()], "theory": theory_fields()}
"""The fields of a cell, as files write them."""

C = TypeVar("C", Chain, AnyTheory)


@dataclass(frozen=True)
class Cell:
    """One point of the grid.

    Attributes:
        point: the grid's fields, by dotted name, and their values here, as the file writes them.
        chain: the whole chain, checked.
    """

    point: Mapping[str, Any]
    chain: Chain


@dataclass(frozen=True)
class TheoryCell:
    """One point of the grid of a sweep of theory.

    Attributes:
        point: as a `Cell` has it.
        theory: what is calculated, checked.
    """

    point: Mapping[str, Any]
    theory: AnyTheory


@dataclass(frozen=True)
class SweepFile:
    """A sweep that was read and checked: its settings, its cells, and a text that says it again."""

    sweep: Sweep
    cells: Sequence[Cell]
    text: str


@dataclass(frozen=True)
class TheoryFile:
    """As a `SweepFile`, of a sweep of theory."""

    sweep: Sweep
    cells: Sequence[TheoryCell]
    text: str


AnyFile = SweepFile | TheoryFile


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> AnyFile:
    """The sweep in a file and its cells, with `path=value` overrides applied last of all.

    Raises: BadInput, in one line that names the file, the field, what was expected and what was found.
    """
    name, raw = read_extended(path)
    return _overridden(raw, name, overrides)


def parse_sweep(text: str, *, name: str, overrides: Sequence[str] = ()) -> AnyFile:
    """As `read_sweep`, of a text, which extends nothing; `name` is what errors call it."""
    return _overridden(load(text, name=name), name, overrides)


def check_sweep(raw: Mapping[str, Any], *, name: str) -> AnyFile:
    """The sweep that plain data stands for, and its cells."""
    if EXTENDS in raw:
        raise BadInput(
            f"{name}: {EXTENDS}: expected a file, beside which the other one lies, got a mere text"
        )
    try:
        sweep = Sweep.model_validate(dict(raw))
    except ValidationError as error:
        path, problem = first_problem(error)
        raise BadInput(f"{name}: {path or 'the file'}: {problem}") from None
    text = dump(raw)
    if sweep.theory is not None:
        calculated = [TheoryCell(point, theory) for point, theory in _cells(sweep, read_theory, name)]
        return TheoryFile(sweep, calculated, text)
    cells = [Cell(point, chain) for point, chain in _cells(sweep, Chain.model_validate, name)]
    _sizes_are_used(sweep, cells, name)
    return SweepFile(sweep, cells, text)


def plain(value: Any) -> str:
    """A value of the grid as one short text: bare words and numbers as they are, mappings as JSON."""
    try:
        return value if isinstance(value, str) else canonical(value)
    except (TypeError, ValueError):
        return repr(value)  # it will be refused; until then it has to be shown


def _cells(
    sweep: Sweep, read: Callable[[dict[str, Any]], C], name: str
) -> Iterator[tuple[Mapping[str, Any], C]]:
    """The points of the grid, and what is read of each."""
    subject = sweep.subject
    seen: set[str] = set()
    for values in itertools.product(*sweep.grid.values()):
        point = dict(zip(sweep.grid, values, strict=True))
        raw = copy.deepcopy(sweep.constants)
        for path, value in point.items():
            _set(raw, path, copy.deepcopy(value), name=f"{name}: grid.{path}")
        try:
            whole = read(raw)
        except ValidationError as error:
            path, problem = first_problem(error, at=subject)
            raise BadInput(f"{name}: {_as_written(path, point)}: {problem}{_in_cell(point, path)}") from None
        except BadInput as error:
            raise BadInput(f"{name}: {subject}: {error}") from None
        if (told := label(point)) in seen:
            raise BadInput(f"{name}: grid: expected different cells, got one twice ({told})")
        seen.add(told)
        yield point, whole


def _as_written(path: str, point: Mapping[str, Any]) -> str:
    """Where a field stands in the file: what the grid gives does not stand under chain, or theory."""
    _, _, field = path.partition(".")
    return f"grid.{field}" if any(f"{field}.".startswith(f"{given}.") for given in point) else path


def _in_cell(point: Mapping[str, Any], path: str) -> str:
    """Which cell has the problem, where it depends on the cell."""
    heads = {field.partition(".")[0] for field in point}
    _, _, field = path.partition(".")
    if not point or (field and field.partition(".")[0] not in heads | _CELLS_DECIDE):
        return ""
    return f" (in the cell {label(point)})"


def label(point: Mapping[str, Any]) -> str:
    """How a cell is called in messages: `loop=fresh_data, lambda=0.5`.

    >>> label({"loop": "fresh_data", "lambda": 0.5})
    'loop=fresh_data, lambda=0.5'
    """
    return ", ".join(f"{path}={plain(value)}" for path, value in point.items()) or "the only cell"


def _sizes_are_used(sweep: Sweep, cells: Sequence[Cell], name: str) -> None:
    """Refuse a size that no cell of the sweep makes use of: its writer expects something else."""
    uses: dict[str, tuple[str, Callable[[Chain], bool]]] = {
        "n_r": ("a real part", lambda chain: chain.loop.has_real),
        "n_s": ("a synthetic part", lambda chain: chain.loop.has_synthetic),
        "n_fixed": (
            "the real part fixed+fresh",
            lambda chain: getattr(chain.loop, "real", "") == "fixed+fresh",
        ),
    }
    for field, (part, used) in uses.items():
        given = [cell.chain for cell in cells if getattr(cell.chain, field) is not None]
        if given and not any(used(chain) for chain in given):
            place = "grid" if field in sweep.grid else "chain"
            raise BadInput(
                f"{name}: {place}.{field}: expected a cell whose loop has {part}, got none; leave {field} out"
            )


def _overridden(raw: dict[str, Any], name: str, overrides: Sequence[str]) -> AnyFile:
    for override in overrides:
        _override(raw, override)
    return check_sweep(raw, name=name)


def _override(raw: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise BadInput(f"--set: expected path=value, got {override!r}; try --set chain.generations=3")
    try:
        value = load_value(text)
    except yaml.YAMLError:
        raise BadInput(f"--set {path}: expected a YAML value, got {text!r}") from None
    if path.startswith("grid."):
        # A grid's fields are dotted names themselves: all behind `grid.` is one of them.
        grid = raw.setdefault("grid", {})
        if not isinstance(grid, dict):
            raise BadInput(f"--set {path}: expected a mapping at grid, got {show(grid)}")
        grid[path.removeprefix("grid.")] = value
        return
    head = path.partition(".")[0]
    known = list(Sweep.model_fields)
    if head not in known:
        subject: Subject = "theory" if "theory" in raw else "chain"
        hint = f"did you mean {subject}.{path}?" if head in _FIELDS[subject] else nearest(head, known)
        raise BadInput(f"--set {path}: expected a field of the sweep to begin it, got {head!r}; {hint}")
    _set(raw, path, value, name=f"--set {path}")


def _set(raw: dict[str, Any], path: str, value: Any, *, name: str) -> None:
    """Set a field by its dotted path; a bare name on the way becomes a mapping with `kind`."""
    *way, last = path.split(".")
    here = raw
    for part in way:
        inside = here.setdefault(part, {})
        if isinstance(inside, str):
            inside = here[part] = {"kind": inside}
        if not isinstance(inside, dict):
            raise BadInput(f"{name}: expected a mapping at {part}, got {show(inside)}")
        here = inside
    here[last] = value
