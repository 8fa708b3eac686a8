"""Turns what pydantic refuses into one line: the field, what was expected, what was found, what to try."""

from __future__ import annotations

import re

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from madray.spec.base import show

_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing",
}

_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "of at most"),
}

_UNION_MEMBER = re.compile(r"^(int|float|str|list\[.*|constrained-.*|function-.*|tagged-union.*)$")


def _field(problem: ErrorDetails) -> list[str]:
    """The path of a problem's field. Members of a union stand in pydantic's path, but not in the file."""
    parts = [str(part) for part in problem["loc"]]
    return [part for part in parts if part != "[key]" and not _UNION_MEMBER.match(part)]


def first_problem(error: ValidationError, *, at: str = "") -> tuple[str, str]:
    """The first problem of a validation error: the dotted path of the field, and `expected …, got …`.

    Args:
        at: the dotted path of what was validated.
    """
    problems = error.errors(include_url=False)
    first = _field(problems[0])
    # A value of several types is refused once for each: what came nearest to one of them says most.
    alike = [each for each in problems if _field(each)[: len(first)] == first]
    told = max(alike, key=lambda each: len(_field(each)))
    path = ".".join([at] * bool(at) + _field(told))
    types = [_TYPES.get(each["type"]) for each in alike if _field(each) == _field(told)]
    if all(types):
        return path, f"expected {' or '.join(dict.fromkeys(filter(None, types)))}, got {show(told['input'])}"
    kind, found, context = told["type"], told["input"], told.get("ctx", {})
    if kind == "madray":
        hint = f"; {context['hint']}" if context.get("hint") else ""
        return path, f"expected {context['expected']}, got {context['found']}{hint}"
    if kind == "missing":
        return path, "expected a value, got none"
    if kind in _BOUNDS:
        name, sign = _BOUNDS[kind]
        return path, f"expected a number {sign} {context[name]:g}, got {show(found)}"
    if kind == "literal_error":
        return path, f"expected {context['expected'].replace(chr(39), '')}, got {show(found)}"
    return path, f"expected another value, got {show(found)} ({told['msg']})"
