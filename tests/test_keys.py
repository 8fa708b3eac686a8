"""Keys: what means the same has one key, and what cannot be said exactly is refused."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madray.keys import canonical, digest

numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
plain_data = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abλ", max_size=2), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_canonical_json_is_sorted_tight_and_readable() -> None:
    value = {"b": [1.5, None, True], "a": {"λ": 0.5}, "c": ()}
    assert canonical(value) == '{"a":{"λ":0.5},"b":[1.5,null,true],"c":[]}'


def test_a_digest_is_the_beginning_of_a_sha256() -> None:
    # SHA-256 of the two bytes [], as `printf '[]' | sha256sum` gives it.
    assert digest([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0, -0.0),
        (2**53, 2.0**53),
        (10**22, 1e22),
        ({"n": 6000}, {"n": 6000.0}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1, [2]], (1, (2,))),
    ],
)
def test_what_means_the_same_has_one_key(one: Any, other: Any) -> None:
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (1, True),
        (0, None),
        (0, False),
        ([1, 2], [2, 1]),
        ([], {}),
        (0.1, 0.1 + 2**-56),
        ("a", "a "),
    ],
)
def test_what_differs_has_another_key(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


@given(plain_data)
def test_canonical_json_loses_nothing(value: Any) -> None:
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(canonical(value))) == canonical(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_nan_and_infinities_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r"expected finite numbers in what makes a key, got -?(nan|inf)"):
        digest({"deep": [{"down": number}]})


@pytest.mark.parametrize(
    "value", [b"bytes", {1, 2}, date(2020, 1, 1), np.zeros(2), {1: "a"}, object(), np.int64(1)]
)
def test_what_is_no_plain_data_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="in what makes a key, got"):
        digest([value])
