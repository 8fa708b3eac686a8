"""Sizes of a training set, written in one of two ways: n_r and n_s, or p and n."""

from __future__ import annotations

from typing import Protocol

from madray.spec.base import Prose, refuse_at


class Sized(Protocol):
    """Settings that hold both ways, each field None where the file does not give it."""

    @property
    def n_r(self) -> int | None:
        """Real samples."""

    @property
    def n_s(self) -> int | None:
        """Synthetic samples."""

    @property
    def p(self) -> float | None:
        """Real share."""

    @property
    def n(self) -> int | None:
        """All samples."""


def check_one_way(given: Sized) -> None:
    """Refuse half a pair, and sizes in both ways."""
    if (given.p is None) != (given.n is None):
        left = "n" if given.n is None else "p"
        raise refuse_at(
            left, "p and n together, or neither", Prose("one of them"), "give n_r and n_s instead"
        )
    if given.n is not None and (given.n_r is not None or given.n_s is not None):
        raise refuse_at("n", "sizes either as p and n or as n_r and n_s", Prose("both"), "leave one pair out")


def real_and_synthetic(given: Sized) -> tuple[int, int]:
    """n_r and n_s as they were given, 0 where not; or n_r = round(p·n) and n_s = n − n_r."""
    if given.p is not None and given.n is not None:
        n_r = round(given.p * given.n)
        return n_r, given.n - n_r
    return given.n_r or 0, given.n_s or 0
