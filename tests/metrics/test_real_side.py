"""The real side: made, stored, read, and measured against other real samples."""

import math

import numpy as np
import pytest

from madray.errors import Damaged
from madray.metrics import RealSide, frechet_distance, precision_recall
from madray.metrics.real_side import from_arrays, make_real_side, measure_floor, pack, to_arrays, unpack
from madray.references.analytic import GMM25Reference
from madray.samples import SampleSet
from madray.spec.metrics import FID, METRICS, W2, Modes, PrecisionRecall, Variance
from madray.spec.references import GMM25
from madray.streams import Stream

REFERENCE = GMM25Reference(GMM25())
BOTH = REFERENCE.draw(600, Stream.of(0, "real"))
REAL, OTHER = BOTH.head(300), BOTH.take(np.arange(300, 600))
SIDE = make_real_side(REAL.flat())


def floor(settings, reference=REFERENCE) -> dict[str, float]:
    return measure_floor(settings, reference, SIDE, OTHER, OTHER.flat())


def test_the_root_is_that_of_the_unbiased_covariance():
    expected = np.cov(REAL.flat().astype(np.float64), rowvar=False)
    np.testing.assert_allclose(SIDE.root @ SIDE.root.T, expected, rtol=1e-12)
    np.testing.assert_allclose(SIDE.mean, REAL.flat().astype(np.float64).mean(0), rtol=1e-12)


def test_what_is_packed_is_unpacked_to_the_last_bit():
    for back in (unpack(pack(SIDE)), from_arrays(to_arrays(SIDE))):
        for name, array in to_arrays(SIDE).items():
            read = getattr(back, name)
            assert read.dtype == array.dtype
            np.testing.assert_array_equal(read, getattr(SIDE, name))


def test_the_order_of_the_memory_does_not_matter_to_packing():
    turned = RealSide(SIDE.features, SIDE.mean, np.asfortranarray(SIDE.root))
    assert pack(turned) == pack(SIDE)
    np.testing.assert_array_equal(unpack(pack(turned)).root, SIDE.root)


def test_packing_twice_gives_the_same_bytes():
    assert pack(SIDE) == pack(make_real_side(REAL.flat()))


def test_collapsed_real_samples_make_a_side_too():
    side = unpack(pack(make_real_side(np.ones((4, 3), np.float32))))
    assert not side.root.any()


def test_the_floor_is_what_other_real_samples_get():
    real, other = REAL.flat(), OTHER.flat()
    expected = precision_recall(real=real, generated=other, k=3)
    assert floor(FID())["fid"] == pytest.approx(frechet_distance(real=real, generated=other), rel=1e-9)
    assert floor(PrecisionRecall(k=3)) == {"precision": expected.precision, "recall": expected.recall}
    assert floor(Variance())["variance"] == pytest.approx(np.trace(np.cov(other, rowvar=False)), rel=1e-5)
    assert floor(Modes())["modes"] == 25


def test_the_floor_has_every_name_of_every_metric():
    for metric in METRICS:
        assert tuple(floor(metric())) == metric.names


def test_what_looks_at_a_fitted_model_has_no_floor():
    assert all(math.isnan(value) for value in floor(W2()).values())


def test_modes_have_no_floor_without_their_reference():
    assert all(math.isnan(value) for value in floor(Modes(), reference=None).values())


def test_what_is_no_real_side_is_damaged():
    arrays = to_arrays(SIDE)
    with pytest.raises(Damaged, match=r"expected arrays features, mean and root, got no 'root'"):
        from_arrays({name: array for name, array in arrays.items() if name != "root"})
    with pytest.raises(
        Damaged, match=r"expected float32 \(n, d\), .* got float32 \(300, 2\), float64 \(1,\)"
    ):
        from_arrays({**arrays, "mean": arrays["mean"][:1]})
    with pytest.raises(Damaged, match=r"got float64 \(300, 2\)"):
        from_arrays({**arrays, "features": arrays["features"].astype(np.float64)})
    with pytest.raises(Damaged, match=r"expected real_side.safetensors in the artifact"):
        unpack({"other": b""})
    with pytest.raises(Damaged, match=r"to hold safetensors, got"):
        unpack({"real_side.safetensors": b"nothing"})


def test_samples_without_numbers_make_no_real_side():
    with pytest.raises(ValueError, match=r"expected real features to be numbers of shape \(n, d\)"):
        make_real_side(SampleSet(np.zeros((2, 1, 3, 3), np.uint8)).values)
