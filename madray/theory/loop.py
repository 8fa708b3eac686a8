"""The Gaussian loop as the theory takes it: which samples of which sizes a generation is fitted to.

The reference is N(0, I_d). A generation is the mean μ and the unbiased covariance Σ of its training set, and
is sampled from N(μ, λΣ). The training set is made of *groups*: n_r real samples, and n_s synthetic ones,
which come from the last generation or are split among the last K.

Source: Alemohammad et al. 2023 (arXiv:2307.01850), sections 3.1 and 5.1, appendix G.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Real = Literal["none", "fixed", "fresh"]
Split = Literal["sample", "equal"]

_REAL = ("none", "fixed", "fresh")
_SPLIT = ("sample", "equal")


@dataclass(frozen=True)
class Loop:
    """Sizes and bias of a Gaussian loop, checked.

    Attributes:
        d: dimension.
        n_r, n_s: real and synthetic samples of every generation from the second on.
        bias: λ in (0, 1].
        real: `none` (then n_r = 0), `fixed` (the same n_r always) or `fresh` (n_r new ones).
        memory: K, how many previous generations the synthetic samples come from.
        split: how they are split among these: each sample picks its own (`sample`: a multinomial split), or
            each generation gives as many (`equal`, the newest one more where they do not divide).

    Raises: ValueError, if an argument is out of bounds; it names the argument, the bound and the value.
    """

    d: int
    n_r: int
    n_s: int
    bias: float
    real: Real = "fresh"
    memory: int = 1
    split: Split = "sample"

    def __post_init__(self) -> None:
        at_least("d", self.d, 1)
        at_least("n_r", self.n_r, 0)
        at_least("n_s", self.n_s, 0)
        at_least("n_r + n_s", self.n_r + self.n_s, 2)
        at_least("memory", self.memory, 1)
        check_bias(self.bias)
        if self.real not in _REAL:
            raise ValueError(f"real: expected one of {', '.join(_REAL)}, got {self.real!r}")
        if self.split not in _SPLIT:
            raise ValueError(f"split: expected one of {', '.join(_SPLIT)}, got {self.split!r}")
        if self.real == "none" and self.n_r > 0:
            raise ValueError(f"n_r: expected 0 where real is none, got {self.n_r}")

    @property
    def n(self) -> int:
        """Size of a training set, n_r + n_s."""
        return self.n_r + self.n_s

    @property
    def p(self) -> float:
        """Its real share, n_r / n."""
        return self.n_r / self.n

    @property
    def q(self) -> float:
        """Its synthetic share, n_s / n."""
        return self.n_s / self.n

    def expected_counts(self, reach: int) -> tuple[Array, Array]:
        """First and second moments of the numbers of samples that the last `reach` generations give.

        Returns: E n_g of shape (reach,) and E n_g n_h of shape (reach, reach), the newest generation first.
        """
        if self.split == "equal":
            counts = np.array(equal_counts(self.n_s, reach), dtype=float)
            return counts, np.outer(counts, counts)
        share = self.n_s / reach
        return np.full(reach, share), share * (
            np.eye(reach) + np.full((reach, reach), (self.n_s - 1) / reach)
        )


def equal_counts(n_s: int, reach: int) -> list[int]:
    """n_s split equally among `reach` generations; the newest, which are first, give what is left over.

    >>> equal_counts(10, 3)
    [4, 3, 3]
    """
    return [n_s // reach + (place < n_s % reach) for place in range(reach)]


def at_least(name: str, value: Any, bound: int) -> int:
    """The value as an integer. Raises: ValueError, if it is none, or below the bound."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name}: expected an integer of {bound} or more, got {value!r}") from None
    if number < bound:
        raise ValueError(f"{name}: expected {bound} or more, got {number}")
    return number


def check_bias(bias: float) -> None:
    """Raises: ValueError, if λ is outside (0, 1]."""
    if not 0 < bias <= 1:
        raise ValueError(f"bias: expected λ in (0, 1], got {bias}")


def check_limit(loop: Loop) -> None:
    """Raises: ValueError, if the loop has no limit: without fresh real samples Σ collapses and μ wanders."""
    if loop.n_r < 1 or loop.real != "fresh":
        raise ValueError(f"n_r: expected 1 or more fresh real samples for a limit to exist, got {loop.n_r}")
