"""First moments: the formulas of the literature, limits as fixed points, memory."""

import numpy as np
import pytest

from madray import theory
from madray.theory.first_moments import relaxation
from madray.theory.loop import Loop


def test_fully_synthetic_is_equation_2_of_the_paper():
    made = theory.moments(7, 0, 50, 0.8, n_ini=20, generations=6)
    t = np.arange(6)
    assert made.c == pytest.approx(0.8**t)
    # E|μ|² grows by λ c / n_s a generation: the random walk's steps shrink with Σ.
    assert made.m == pytest.approx(1 / 20 + 0.8 / 50 * np.cumsum(np.concatenate([[0], 0.8 ** t[:-1]])))


@pytest.mark.parametrize(
    ("n_r", "n_s", "bias"), [(100, 900, 1.0), (10, 30, 0.9), (1, 5, 0.3), (1000, 10_000, 0.95)]
)
def test_the_limit_is_the_closed_form(n_r, n_s, bias):
    n, p, q = n_r + n_s, n_r / (n_r + n_s), n_s / (n_r + n_s)
    a = q / ((n - 1) * (1 + q))
    delta = 1 - bias * q * (1 + a)
    found = theory.moment_limit(3, n_r, n_s, bias)
    assert found.c == pytest.approx(p * (1 + a) / delta, rel=1e-12)
    assert found.m == pytest.approx(1 / (n * (1 + q) * delta), rel=1e-12)


@pytest.mark.parametrize("split", ["sample", "equal"])
@pytest.mark.parametrize("memory", [1, 2, 3, 7])
def test_the_limit_is_where_the_recursion_ends(memory, split):
    options = {"memory": memory, "split": split}
    made = theory.moments(3, 10, 30, 0.9, n_ini=5, generations=2000, **options)
    found = theory.moment_limit(3, 10, 30, 0.9, **options)
    assert (made.m[-1], made.c[-1]) == pytest.approx((found.m, found.c), rel=1e-12)


def test_memory_of_one_is_the_latest_generation_however_it_is_split():
    plain = theory.moments(2, 3, 10, 0.9, n_ini=8, generations=5)
    for split in ("sample", "equal"):
        other = theory.moments(2, 3, 10, 0.9, n_ini=8, memory=1, split=split, generations=5)
        assert (other.m == plain.m).all() and (other.c == plain.c).all()


def test_the_beginning_of_a_long_memory_is_that_of_a_short_one():
    # Generation 2 knows one generation before it, generation 3 two.
    by_memory = [
        theory.moments(2, 3, 10, 0.9, n_ini=8, memory=memory, generations=4).m for memory in (1, 2, 3, 9)
    ]
    assert by_memory[0][:2] == pytest.approx(by_memory[3][:2])
    assert by_memory[1][:3] == pytest.approx(by_memory[3][:3])
    assert by_memory[2] == pytest.approx(by_memory[3])
    assert by_memory[0][2] != pytest.approx(by_memory[1][2], rel=1e-3)


def test_real_only_is_the_sampling_law_of_the_mean():
    made = theory.moments(4, 25, 0, 1.0, n_ini=10, generations=3)
    assert made.m == pytest.approx([1 / 10, 1 / 25, 1 / 25])
    assert made.c == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("memory", [1, 2, 5])
@pytest.mark.parametrize("bias", [1.0, 0.5])
def test_the_rate_is_that_at_which_the_recursion_nears_its_limit(memory, bias):
    n_r, n_s = 1000, 3000  # the rate holds up to terms of the order 1/n
    loop = Loop(3, n_r, n_s, bias, memory=memory, split="equal")
    rate = relaxation(loop)
    if memory == 1:
        assert rate == pytest.approx(max(bias * 0.75, 0.75**2))
    options = {"memory": memory, "split": "equal"}
    made = theory.moments(3, n_r, n_s, bias, n_ini=5, generations=500, **options)
    found = theory.moment_limit(3, n_r, n_s, bias, **options)
    left = abs(made.m / found.m - 1) + abs(made.c / found.c - 1)
    until = int(np.argmax(left < 1e-9))
    measured = (left[until] / left[until // 2]) ** (1 / (until - until // 2))
    assert measured == pytest.approx(rate, rel=0.02)


BAD = [
    ({"d": 0}, "d: expected 1 or more, got 0"),
    ({"n_r": -1}, "n_r: expected 0 or more, got -1"),
    ({"n_s": -3}, "n_s: expected 0 or more, got -3"),
    ({"n_r": 1, "n_s": 0}, "n_r + n_s: expected 2 or more, got 1"),
    ({"bias": 0.0}, "bias: expected λ in (0, 1], got 0.0"),
    ({"bias": 1.5}, "bias: expected λ in (0, 1], got 1.5"),
    ({"bias": float("nan")}, "bias: expected λ in (0, 1], got nan"),
    ({"memory": 0}, "memory: expected 1 or more, got 0"),
    ({"n_s": 2.5}, "n_s: expected an integer of 0 or more, got 2.5"),
    ({"split": "halves"}, "split: expected one of sample, equal, got 'halves'"),
]
GOOD = {"d": 3, "n_r": 5, "n_s": 9, "bias": 0.9}
CALLS = {
    "moments": (theory.moments, {"n_ini": 5, "generations": 3}),
    "moment_limit": (theory.moment_limit, {}),
    "simulate": (theory.simulate, {"n_ini": 5, "generations": 3, "replicates": 2}),
    "limit": (theory.limit, {}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("changed", "told"), BAD, ids=[told for _, told in BAD])
def test_bad_input_names_the_argument_the_bound_and_the_value(call, changed, told):
    function, more = CALLS[call]
    with pytest.raises(ValueError) as refused:
        function(**{**GOOD, **more, **changed})
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("call", "changed", "told"),
    [
        ("moments", {"n_ini": 1}, "n_ini: expected 2 or more, got 1"),
        ("moments", {"generations": 0}, "generations: expected 1 or more, got 0"),
        ("simulate", {"n_ini": 1}, "n_ini: expected 2 or more, got 1"),
        ("simulate", {"replicates": 0}, "replicates: expected 1 or more, got 0"),
        ("simulate", {"seed": -1}, "seed: expected 0 or more, got -1"),
        ("simulate", {"real": "none"}, "n_r: expected 0 where real is none, got 5"),
        ("simulate", {"real": "some"}, "real: expected one of none, fixed, fresh, got 'some'"),
        ("limit", {"rtol": 0.0}, "rtol: expected a number in (0, 1), got 0.0"),
        ("limit", {"n_r": 0}, "n_r: expected 1 or more fresh real samples for a limit to exist, got 0"),
        (
            "moment_limit",
            {"n_r": 0},
            "n_r: expected 1 or more fresh real samples for a limit to exist, got 0",
        ),
    ],
)
def test_bad_input_of_one_function(call, changed, told):
    function, more = CALLS[call]
    with pytest.raises(ValueError) as refused:
        function(**{**GOOD, **more, **changed})
    assert str(refused.value) == told
