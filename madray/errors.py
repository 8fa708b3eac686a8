"""What can go wrong for a user, by what they can do about it.

A `MadrayError` is shown in one line, without a traceback: *expected …, got …, try …*. Any other
exception that reaches the command line is a bug of madray's and keeps its traceback.
"""

from __future__ import annotations


class MadrayError(Exception):
    """Something a user can act on; the command ends with `exit_code`."""

    exit_code = 1


class BadInput(MadrayError, ValueError):
    """What the user brought cannot be used; found before any work starts."""

    exit_code = 2


class Stopped(BaseException):
    """A worker was told to leave, and has: its work is not over, and not failed. Not an `Exception`, so that
    no code of a user's takes it for one."""


class Missing(MadrayError, LookupError):
    """Nothing whole stands in the store under this key."""


class Damaged(Missing):
    """Something stands under this key, but its checksums do not agree; it is as good as missing."""
