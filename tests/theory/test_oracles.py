"""The oracle suite: every check passes and rejects its mistake; a check that cannot see is none."""

import numpy as np
import pytest

from madray.theory import oracles


@pytest.mark.parametrize("share", [0.1, pytest.param(1.0, marks=pytest.mark.slow)])
def test_all_checks_pass_and_see_their_mistakes_from_afar(share):
    done = list(oracles.checks(seed=11, share=share))
    assert len(done) >= 10
    assert [check.claim for check in done if not check.passed] == []
    assert all(abs(check.wrong_at) > 2 * oracles.SURE for check in done)


@pytest.mark.parametrize(
    ("z", "z_wrong", "passed"),
    [
        ([0.5, -3.9], [9.0], True),
        ([0.5, -4.1], [9.0], False),
        ([0.5], [3.0, -3.9], False),  # the mistake went unnoticed
        ([np.nan, 0.1], [9.0], False),
    ],
)
def test_what_passes(z, z_wrong, passed):
    assert oracles.Check("claim", "mistake", np.array(z), np.array(z_wrong)).passed is passed
