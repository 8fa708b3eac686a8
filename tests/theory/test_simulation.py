"""The simulation: equal in law to naive sampling, the same for any number of replicates, and to the ordinary chain."""

import numpy as np
import pytest
import yaml

import madray
from madray import theory
from madray.engine.local import execute_here
from madray.engine.prepare import prepare
from madray.engine.sweep import run
from madray.running import Nothing
from madray.spec.reading import parse_sweep
from madray.store import Store
from madray.streams import Stream
from madray.theory import batched, oracles, serial
from madray.theory import simulation as module
from madray.theory.estimate import Estimate
from madray.theory.loop import Loop
from madray.theory.simulation import replicate_statistics

SETTINGS = oracles.BRUTE_FORCE_SETTINGS


@pytest.mark.parametrize(
    ("loop", "n_ini"), SETTINGS, ids=[f"{loop}, n_ini={n_ini}" for loop, n_ini in SETTINGS]
)
def test_it_agrees_with_drawing_samples_and_numpy_cov(loop, n_ini):
    # 4 numbers × 5 generations × 14 settings at |z| < 4: one seed in 60 fails where all is right; this one is fixed.
    z, _ = oracles.compare_with_brute_force(loop, n_ini, generations=5, replicates=3000, seed=3)
    assert abs(z).max() < 4, z.round(1)


def test_settings_with_fewer_real_samples_than_dimensions_are_among_them():
    assert len(SETTINGS) >= 10
    assert sum(1 < loop.n_r <= loop.d for loop, _ in SETTINGS) >= 3
    assert any(loop.d >= module.SERIAL_FROM for loop, _ in SETTINGS)
    assert {loop.real for loop, _ in SETTINGS} == {"none", "fixed", "fresh"}


@pytest.mark.parametrize("d", [3, module.SERIAL_FROM])
def test_a_replicate_does_not_depend_on_how_many_there_are_nor_on_how_long_they_run(d):
    loop = Loop(d, 5, 9, 0.9, memory=2)
    few = replicate_statistics(loop, 6, 3, 4, 0, "cpu")
    many = replicate_statistics(loop, 6, 5, batched.BLOCK + 9, 0, "cpu")
    assert (many[:4, :3] == few).all()
    assert not (replicate_statistics(loop, 6, 3, 4, 1, "cpu") == few).any()


def test_both_ways_of_simulating_agree():
    loop, n_ini, generations = Loop(12, 5, 15, 0.9, memory=3), 8, 5
    blocks = [
        batched.statistics(loop, n_ini, generations, Stream.of("test", 0, block), "cpu") for block in range(8)
    ]
    many = Estimate.over_replicates(np.concatenate([block.numpy() for block in blocks]))
    one_by_one = np.array(
        [
            module._one(loop, n_ini, generations, Stream.of("test", 1, replicate).numpy())
            for replicate in range(2048)
        ]
    )
    few = Estimate.over_replicates(one_by_one)
    z = (many.mean - few.mean) / np.hypot(many.standard_error, few.standard_error)
    assert abs(z).max() < 4  # 15 comparisons: one right program in 1,000 fails


def test_collapse_is_a_result():
    made = theory.simulate(2, 0, 3, 1.0, real="none", n_ini=3, generations=400, replicates=50)
    assert np.isfinite(made.w2_squared.mean).all()
    assert made.trace.mean[-1] < 1e-6
    deep = theory.simulate(30, 0, 31, 0.5, real="none", n_ini=31, generations=300, replicates=3)
    assert np.isfinite(deep.w2_squared.mean).all()
    assert deep.trace.mean[-1] < 1e-80


def test_one_replicate_has_no_standard_error():
    made = theory.simulate(2, 4, 4, 1.0, n_ini=4, generations=2, replicates=1)
    assert np.isnan(made.w2.standard_error).all() and np.isfinite(made.w2.mean).all()


def test_a_fixed_set_is_the_beginning_of_generation_1():
    # With n_r = n_ini and next to nothing synthetic, generation 2 has nearly generation 1's moments.
    chains = (
        serial.chain(Loop(3, 500, 1, 1.0, "fixed"), 500, Stream.of("test", seed).numpy()) for seed in range(5)
    )
    for chain in chains:
        first, second = next(chain), next(chain)
        assert second.mean == pytest.approx(first.mean, abs=0.02)
        fresh = next(serial.successors(Loop(3, 500, 1, 1.0), [first], Stream.of("test").numpy()))
        assert abs(fresh.mean - first.mean).max() > 0.02


@pytest.mark.parametrize(
    ("loop", "chain"),
    [
        (Loop(3, 5, 9, 0.8), {"loop": "fresh_data", "n_r": 5, "n_s": 9, "lambda": 0.8}),
        (Loop(3, 0, 9, 1.0, "none"), {"loop": "fully_synthetic", "n_s": 9}),
        (Loop(3, 6, 9, 1.0, "fixed"), {"loop": "synthetic_augmentation", "n_r": 6, "n_s": 9}),
        (Loop(3, 5, 12, 1.0, memory=3), {"loop": "fresh_data", "n_r": 5, "n_s": 12, "memory": 3}),
    ],
    ids=["fresh_data", "fully_synthetic", "synthetic_augmentation", "memory"],
)
def test_the_ordinary_chain_with_the_gaussian_generator_agrees(loop, chain, tmp_path):
    # 2 numbers × 4 generations × 4 loops at |z| < 4: one seed in 500 fails where all is right; these are fixed.
    seeds, generations = 150, 4
    raw = {
        "name": "gaussian",
        "chain": {
            "reference": {"kind": "gaussian", "d": 3},
            "generator": "gaussian",
            "n_ini": 6,
            "generations": generations,
            **chain,
        },
        "seeds": seeds,
    }
    prepared = prepare(parse_sweep(yaml.safe_dump(raw), name="test"), store=Store.open(tmp_path), data=None)
    outcome = run(prepared, executor=execute_here, display=Nothing())
    assert not outcome.failures
    table = madray.open(tmp_path)["gaussian"].table().sort_values(["seed", "generation"])
    made = theory.simulate(
        loop.d,
        loop.n_r,
        loop.n_s,
        loop.bias,
        real=loop.real,
        n_ini=6,
        memory=loop.memory,
        generations=generations,
        replicates=20_000,
    )
    for name, ours in (("w2_squared", made.w2_squared), ("w2", made.w2)):
        values = table[name].to_numpy().reshape(seeds, generations)
        theirs = Estimate.over_replicates(values)
        z = (theirs.mean - ours.mean) / np.hypot(theirs.standard_error, ours.standard_error)
        assert abs(z).max() < 4, (name, z)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(
        ValueError, match=r"^device: expected cpu, or a device where torch has float64, got 'tpu'"
    ):
        theory.simulate(2, 4, 4, 1.0, n_ini=4, generations=2, replicates=1, device="tpu")


@pytest.mark.gpu
def test_a_gpu_agrees():
    options = {"n_ini": 20, "generations": 5, "replicates": 2048}
    here = theory.simulate(40, 10, 90, 0.9, **options)
    there = theory.simulate(40, 10, 90, 0.9, device="cuda", **options)
    for name in vars(here):
        ours, theirs = getattr(here, name), getattr(there, name)
        z = (ours.mean - theirs.mean) / np.hypot(ours.standard_error, theirs.standard_error)
        assert abs(z).max() < 4, name
