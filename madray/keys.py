"""Content keys: canonical JSON and its digest.

Two settings that mean the same have one canonical JSON: keys are sorted, there is no white space,
and a float with an integer's value is written as that integer, so that 1 and 1.0 agree.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT_VERSION = 1
"""Raised when what is stored under a key changes its meaning; it is part of every key."""


def canonical(value: Any) -> str:
    """The canonical JSON of a value made of mappings, sequences, strings, numbers, booleans and None.

    Raises: TypeError for other types; ValueError for NaN and infinities, which JSON cannot say.

    >>> canonical({"b": 1.0, "a": [True, None, "λ"]})
    '{"a":[true,null,"λ"],"b":1}'
    """
    return _encode(_plain(value))


def digest(value: Any) -> str:
    """The first 160 bits of the SHA-256 of the canonical JSON, as 40 hexadecimal digits.

    >>> digest({"n": 1}) == digest({"n": 1.0})
    True
    >>> len(digest([]))
    40
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:40]


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def _plain(value: Any) -> Any:
    # A sweep has hundreds of thousands of keys, so the usual types are told apart without isinstance.
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is not list and kind is not tuple:
        if isinstance(value, str | int):
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"expected finite numbers in what makes a key, got {value}")
            return int(value) if value.is_integer() else value
        if isinstance(value, Mapping):
            if not all(isinstance(name, str) for name in value):
                raise TypeError(f"expected string names in what makes a key, got {list(value)}")
            return {
                name: item if type(item) in _AS_THEY_ARE else _plain(item) for name, item in value.items()
            }
        if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
            raise TypeError(f"expected plain data in what makes a key, got {kind.__name__}")
    return [item if type(item) in _AS_THEY_ARE else _plain(item) for item in value]
