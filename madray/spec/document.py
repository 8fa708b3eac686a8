"""Sweep files as documents: YAML as people write it → plain data, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from madray.errors import BadInput
from madray.spec.base import Settings, short, show


def load_file(path: Path) -> dict[str, Any]:
    """The mapping that a file holds.

    Raises: BadInput, if there is no such file, or it holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: expected a sweep file, got {error}") from None
    return load(text, name=str(path))


def load(text: str, *, name: str) -> dict[str, Any]:
    """The mapping that a text holds; `name` is what errors call it.

    Raises: BadInput, if it is no YAML, or no mapping.

    >>> load("name: x", name="x.yaml")
    {'name': 'x'}
    """
    try:
        raw = load_value(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{name}: expected YAML, got {_told(error)}") from None
    if not isinstance(raw, dict):
        raise BadInput(f"{name}: expected a mapping with name and chain, got {show(raw)}")
    return raw


def load_value(text: str) -> Any:
    """Any value. Raises: yaml.YAMLError.

    >>> load_value("1e-3")
    0.001
    """
    return yaml.load(text, Loader=_Loader)


def dump(raw: Mapping[str, Any]) -> str:
    """The text that `load` reads as these data again."""
    text: str = yaml.dump(dict(raw), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def _told(error: yaml.YAMLError) -> str:
    """What is wrong with a text that is no YAML, and where, in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        told = ": ".join(filter(None, (error.context, error.problem)))
        return f"{told} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())


class _Loader(yaml.SafeLoader):
    """YAML as people read it: 1e-3 is a number, and a key that stands twice is a mistake."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        # Looked for as the file is parsed: later, what `<<` brings stands beside what replaces it.
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.composer.ComposerError(
                        None, None, f"{key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


class _Dumper(yaml.SafeDumper):
    """Plain YAML of what Python may bring: settings as files write them, NumPy's numbers as numbers."""


_Dumper.add_multi_representer(float, lambda dumper, number: dumper.represent_float(float(number)))
_Dumper.add_multi_representer(Settings, lambda dumper, settings: dumper.represent_data(short(settings)))
