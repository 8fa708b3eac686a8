"""scikit-learn's digits: what they are, and that another copy of them is refused."""

from __future__ import annotations

import numpy as np
import pytest

from madray.errors import BadInput
from madray.references import digits
from madray.spec.references import Digits


def test_digits_are_bytes_from_0_to_255() -> None:
    samples = digits.read_digits(Digits())
    assert samples.values.shape == (1797, 1, 8, 8)
    assert samples.values.dtype == np.uint8
    levels = [round(level * 255 / 16) for level in range(17)]
    assert np.unique(samples.values).tolist() == levels


def test_digits_have_the_counts_of_their_source() -> None:
    # UCI's optdigits.names tells these counts of the test part.
    samples = digits.read_digits(Digits())
    assert samples.label_counts() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_another_copy_of_the_digits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "CONTENT", "0" * 64)
    with pytest.raises(BadInput, match=r"expected scikit-learn's digits with the digest 0{12}…, got a19c"):
        digits.read_digits(Digits())
