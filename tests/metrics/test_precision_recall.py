"""Precision and recall: cases by hand, exactness in collapse, agreement with `prdc`, memory, bad input."""

import subprocess
import sys
import tracemalloc
from itertools import product

import numpy as np
import prdc
import pytest

from madray.metrics import Evidence, PrecisionRecall, distances, nearest_neighbours, precision_recall
from madray.metrics.precision_recall import measure_precision_recall
from madray.metrics.real_side import make_real_side
from madray.spec import metrics as spec
from madray.streams import Stream


def numbers(*shape: int, role: str = "real") -> np.ndarray:
    return Stream.of(0, role, *shape).numpy().standard_normal(shape)


def line(*points: float) -> np.ndarray:
    return np.array(points, float)[:, None]


def by_definition(real, generated, k) -> PrecisionRecall:
    """The definition, with whole matrices of differences in float64."""

    def squared(a, b):
        apart = a[:, None].astype(np.float64) - b[None]
        return np.einsum("ijd,ijd->ij", apart, apart)

    def radii(a):
        all_ = squared(a, a)
        np.fill_diagonal(all_, np.inf)
        return np.sort(all_, axis=1)[:, k - 1]

    across = squared(real, generated)
    return PrecisionRecall(
        precision=float((across < radii(real)[:, None]).any(axis=0).mean()),
        recall=float((across < radii(generated)[None]).any(axis=1).mean()),
    )


def by_prdc(real, generated, k) -> PrecisionRecall:
    found = prdc.compute_prdc(real.astype(np.float64), generated.astype(np.float64), k)
    return PrecisionRecall(precision=float(found["precision"]), recall=float(found["recall"]))


def test_a_case_by_hand():
    # radii: real 1 1 1 6, generated 4 4 4
    found = precision_recall(real=line(0, 1, 2, 8), generated=line(0.5, 4.5, 14.5), k=1)
    # 0.5 and 4.5 lie in real balls, 14.5 does not; 0, 1, 2 and 8 lie in (-3.5, 4.5) or (0.5, 8.5)
    assert found == PrecisionRecall(precision=2 / 3, recall=1.0)


def test_a_ball_ends_at_the_kth_neighbour():
    real = line(0, 1, 3, 7)
    # around 0 the radii are 1, 3, 7; the balls of the others do not reach below -0.5 until k = 3
    for k, precision in [(1, 0.5), (2, 1.0)]:
        found = precision_recall(real=real, generated=line(-0.5, -2, -0.5, -2), k=k)
        assert found.precision == precision


def test_a_tie_is_outside():
    real = line(0, 1, 2, 3)
    found = precision_recall(real=real, generated=line(4, 4, -1), k=1)
    assert found.precision == 0
    assert by_prdc(real, line(4, 4, -1), 1).precision == 0


def test_the_self_is_excluded_by_index_and_a_copy_is_not():
    # k = 1: the copies have radius 0, and 1 has radius 1. k = 2: all three have radius 1.
    real = line(0, 0, 1)
    assert precision_recall(real=real, generated=line(-0.5, 0.5, 5), k=1).precision == pytest.approx(1 / 3)
    assert precision_recall(real=real, generated=line(-0.5, 0.5, 5), k=2).precision == pytest.approx(2 / 3)


def test_zeros_of_both_signs_are_copies():
    found = precision_recall(real=line(0.0, -0.0, 1), generated=line(-0.5, -0.5, -0.5), k=1)
    assert found.precision == 0


def test_a_set_against_itself_has_both_at_1():
    features = numbers(300, 6)
    assert precision_recall(real=features, generated=features) == PrecisionRecall(1.0, 1.0)


def test_sets_far_apart_have_both_at_0():
    features = numbers(300, 6)
    assert precision_recall(real=features, generated=features + 100) == PrecisionRecall(0.0, 0.0)


def test_exchanging_the_sets_exchanges_precision_and_recall():
    real, generated = numbers(200, 4), 0.5 * numbers(150, 4, role="generated")
    there, back = (
        precision_recall(real=real, generated=generated),
        precision_recall(real=generated, generated=real),
    )
    assert (there.precision, there.recall) == (back.recall, back.precision)


def test_a_model_that_knows_one_point_of_the_middle_has_precision_1_and_recall_0():
    real = numbers(300, 6).astype(np.float32)
    point = np.zeros((300, 6), np.float32)
    assert precision_recall(real=real, generated=point) == PrecisionRecall(1.0, 0.0)
    assert by_definition(real, point, 5) == PrecisionRecall(1.0, 0.0)


def test_points_that_are_all_equal_on_both_sides_have_both_at_0():
    assert precision_recall(real=np.ones((9, 2)), generated=np.ones((8, 2))) == PrecisionRecall(0.0, 0.0)


@pytest.mark.parametrize(("d", "k"), list(product([1, 2, 30], [1, 3, 5])))
def test_it_agrees_with_prdc_on_random_features(d, k):
    real, generated = numbers(400, d), 0.7 * numbers(300, d, role="generated") + 0.3
    assert precision_recall(real=real, generated=generated, k=k) == by_prdc(real, generated, k)


@pytest.mark.parametrize("width", [0.1, 1e-2, 1e-4])
def test_it_agrees_with_prdc_on_clusters(width):
    centres = numbers(6, 10, role="centres")
    pick = Stream.of(0, "pick").numpy().integers(0, 6, 700)
    real = (centres[pick[:400]] + width * numbers(400, 10)).astype(np.float32)
    generated = (centres[pick[400:] // 2] + width * numbers(300, 10, role="generated")).astype(np.float32)
    found = precision_recall(real=real, generated=generated)
    assert found == by_prdc(real, generated, 5)
    assert 0 < found.recall < 1


def test_it_agrees_with_prdc_on_collapsed_features():
    real, generated = numbers(400, 10), 1e-4 * numbers(300, 10, role="generated") + 0.1
    assert precision_recall(real=real, generated=generated) == by_prdc(real, generated, 5)


@pytest.mark.parametrize(("d", "k", "values"), list(product([1, 2, 3], [1, 2, 5, 20], [2, 5, 20])))
def test_it_agrees_with_prdc_on_copies_and_ties(d, k, values):
    """Integers have exact distances in `prdc` too, and many of them are equal, or 0."""
    rng = Stream.of(0, "copies", d, k, values).numpy()
    real, generated = rng.integers(0, values, (120, d)), rng.integers(-1, values + 1, (90, d))
    found = precision_recall(real=real.astype(np.float64), generated=generated.astype(np.float64), k=k)
    assert found == by_prdc(real, generated, k)


@pytest.mark.parametrize(("exponent", "centres"), list(product([-6, -14, -20, -23, -24], [1, 5])))
def test_it_is_exact_where_samples_differ_in_their_last_bits_only(exponent, centres):
    """Here |x|² + |y|² - 2xy has no digit left, in float32 or, at last, in float64."""
    means = numbers(centres, 12, role="centres")
    pick = Stream.of(0, "pick").numpy().integers(0, centres, 500)
    width = 2.0**exponent
    real = (means[pick[:250]] + width * numbers(250, 12)).astype(np.float32)
    generated = (means[pick[250:]] + width * numbers(250, 12, role="generated")).astype(np.float32)
    assert precision_recall(real=real, generated=generated) == by_definition(real, generated, 5)


@pytest.mark.parametrize("exponent", [-400, -70, -30, 30, 60, 400])
def test_the_unit_of_the_features_does_not_matter(exponent):
    real, generated = numbers(200, 5), 0.5 * numbers(150, 5, role="generated")
    scaled = precision_recall(real=np.ldexp(real, exponent), generated=np.ldexp(generated, exponent))
    assert scaled == precision_recall(real=real, generated=generated)


def test_one_outlier_does_not_blur_the_others():
    real, generated = numbers(200, 5), 0.5 * numbers(150, 5, role="generated")
    real[17] = 1e6
    assert precision_recall(real=real, generated=generated) == by_definition(real, generated, 5)


def test_blocks_do_not_matter(monkeypatch):
    centres = np.repeat(numbers(10, 8, role="centres"), 25, axis=0)
    real = (centres + 1e-6 * numbers(250, 8)).astype(np.float32)
    generated = (centres + 1e-6 * numbers(250, 8, role="generated")).astype(np.float32)
    whole = precision_recall(real=real, generated=generated)
    for side, cells in [(2, 8), (9, 100), (60, 1000)]:
        for module in (distances, nearest_neighbours, sys.modules[measure_precision_recall.__module__]):
            monkeypatch.setattr(module, "SIDE", side)
            monkeypatch.setattr(module, "CELLS", cells, raising=False)
        assert precision_recall(real=real, generated=generated) == whole
    assert whole == by_definition(real, generated, 5)


def test_memory_grows_with_the_features_and_not_with_their_square():
    """20,000 × 20,000 distances would take 1,600 MB in float32."""
    real = numbers(20_000, 8).astype(np.float32)
    generated = numbers(20_000, 8, role="generated").astype(np.float32)
    tracemalloc.start()
    try:
        precision_recall(real=real, generated=generated)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64e6


def test_copies_are_looked_at_once(monkeypatch):
    """A model that repeats 10 samples 2,000 times each: all are undecided, but only 10 are there."""
    products = []

    def lower(self, others):
        products.append(len(self) * len(others))
        return self._left @ others.rows.T

    monkeypatch.setattr(distances.Placed, "lower", lower)
    real = numbers(50, 4)
    found = precision_recall(real=real, generated=np.tile(real[:10], (2000, 1)))
    assert found.recall == 0
    assert sum(products) < 10_000


def test_the_metric_takes_k_from_its_settings():
    real, generated = numbers(60, 3).astype(np.float32), numbers(60, 3, role="generated").astype(np.float32)
    evidence = Evidence(
        generator=None, reference=None, bias=1.0, features=generated, real=make_real_side(real)
    )
    for k in (1, 5):
        expected = precision_recall(real=real, generated=generated, k=k)
        found = measure_precision_recall(spec.PrecisionRecall(k=k), evidence)
        assert found == {"precision": expected.precision, "recall": expected.recall}


def test_halves_of_one_distribution_are_alike_within_what_chance_allows():
    """Over 150 streams precision - recall had mean 0 and standard deviation 0.0095, precision mean 0.974
    and 0.0057: both bounds are more than 6 of them away, which chance crosses less than once in 5e8 runs."""
    found = precision_recall(real=numbers(1000, 5), generated=numbers(1000, 5, role="generated"))
    assert abs(found.precision - found.recall) < 0.06
    assert 0.93 < found.precision < 1


@pytest.mark.parametrize(("name", "k"), [("real", 6), ("generated", 5), ("real", 0), ("real", -1)])
def test_a_k_out_of_bounds_is_refused_by_name_bound_and_value(name, k):
    sizes = {"real": 6, "generated": 5}
    told = rf"expected k from 1 to below the number of {name} samples \({sizes[name]}\), got k = {k}, try"
    with pytest.raises(ValueError, match=told):
        precision_recall(real=np.zeros((6, 2)), generated=np.zeros((5, 2)), k=k)


def test_features_that_are_no_finite_matrices_of_one_width_are_refused():
    good = np.zeros((9, 2))
    with pytest.raises(ValueError, match=r"features of the same d, got 2 and 3, try the same extractor"):
        precision_recall(real=good, generated=np.zeros((9, 3)))
    with pytest.raises(
        ValueError, match=r"expected real features .* of shape \(n, d\), got float64 of shape \(9,\)"
    ):
        precision_recall(real=np.zeros(9), generated=good)
    with pytest.raises(
        ValueError, match=r"expected finite generated features, got NaN or infinity in 9 of 9 rows"
    ):
        precision_recall(real=good, generated=good + np.inf)
    with pytest.raises(ValueError, match=r"expected real features to be numbers .* got complex128"):
        precision_recall(real=good * 1j, generated=good)


@pytest.mark.parametrize("d", [2, 8])
def test_what_is_kept_of_a_real_side_changes_no_number(d):
    """Nor does it matter which k was asked for before."""
    side = make_real_side(numbers(60, d).astype(np.float32))
    for k, seed in product((1, 5), range(3)):
        generated = 0.7 * numbers(50, d, role=f"generated {seed}").astype(np.float32)
        evidence = Evidence(generator=None, reference=None, bias=1.0, features=generated, real=side)
        told = measure_precision_recall(spec.PrecisionRecall(k=k), evidence)
        fresh = precision_recall(real=side.features, generated=generated, k=k)
        assert told == {"precision": fresh.precision, "recall": fresh.recall}
        assert 0 < fresh.recall < 1


def test_metrics_load_nothing_heavy():
    code = (
        "import sys, madray.metrics\n"
        "from madray.metrics import features, frechet, measure, modes, real_side, variance, wasserstein\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
