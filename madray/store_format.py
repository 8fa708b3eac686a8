"""The file in the root of a store that says in which format it was written, with a check on itself.

Without the check a bit that flipped in it could name another format, and a whole store would be refused.
"""

from __future__ import annotations

import json

from madray.keys import FORMAT_VERSION, digest

CLAIM = "madray.json"

_FEW_BYTES = 2
"""So many of ours may be others, and it still can only be ours: another format has another check."""


def claim_of(written: int = FORMAT_VERSION) -> bytes:
    """What stands in a store of a format.

    >>> claim_of(1)
    b'{"format": 1, "check": "3f0a99256beeb89a"}'
    """
    return json.dumps({"format": written, "check": _check(written)}).encode()


def is_ours(found: bytes) -> bool:
    """Whether this says, whole, that a store has our format. The first claims had no check.

    >>> is_ours(claim_of()), is_ours(b'{"format": 1}'), is_ours(claim_of(2))
    (True, True, False)
    """
    return found == claim_of() or found == json.dumps({"format": FORMAT_VERSION}).encode()


def is_damaged(found: bytes) -> bool:
    """Whether this was our claim before it was cut short, or a bit or two of it flipped.

    >>> is_damaged(claim_of()[:5]), is_damaged(claim_of().replace(b": 1", b": 3")), is_damaged(claim_of(3))
    (True, True, False)
    """
    ours = claim_of()
    if is_ours(found) or len(found) > len(ours) or _names_another(found):
        return False
    return sum(one != other for one, other in zip(found, ours, strict=False)) <= _FEW_BYTES


def _names_another(found: bytes) -> bool:
    """Whether it is a whole claim of another format, of those that had no check or of those that have one."""
    try:
        told = json.loads(found)
        return set(told) == {"format"} or told["check"] == _check(told["format"])
    except (ValueError, TypeError, KeyError):
        return False


def _check(written: int) -> str:
    return digest({"format": written})[:16]
