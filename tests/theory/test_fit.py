"""Fits from sufficient statistics: Bartlett's factor, trapezoids, groups, singular covariances."""

import numpy as np
import pytest

from madray.streams import Stream
from madray.theory.fit import Group, Model, bartlett, draw_from, draw_standard, fit, merge
from madray.theory.serial import spectrum


@pytest.mark.parametrize(("d", "freedom"), [(4, 9), (4, 4), (4, 3), (4, 1), (1, 5)])
def test_bartletts_factor_has_the_mean_and_the_spread_of_a_wishart_matrix(d, freedom):
    rng = Stream.of("test fit").numpy()
    made = np.array([(factor := bartlett(d, freedom, rng)) @ factor.T for _ in range(20_000)])
    error = made.std(axis=0) / np.sqrt(len(made))
    assert abs((made.mean(axis=0) - freedom * np.eye(d)) / error).max() < 4.5
    # Var A_ij = k (1 + δ_ij)
    assert made.var(axis=0) == pytest.approx(freedom * (1 + np.eye(d)), rel=0.1)


def test_the_factor_is_a_trapezoid_where_degrees_of_freedom_are_few():
    factor = bartlett(5, 2, Stream.of("test fit").numpy())
    assert factor.shape == (5, 2)
    assert factor[0, 1] == 0
    assert bartlett(5, 0, Stream.of("test fit").numpy()).shape == (5, 0)


def scatter_root(samples):
    """A triangle or a few columns for the scatter of samples."""
    apart = samples - samples.mean(axis=0)
    return np.asfortranarray(np.linalg.qr(apart, mode="r").T[:, : max(len(samples) - 1, 0)])


def test_merging_groups_is_what_their_samples_together_say():
    rng = Stream.of("test fit").numpy()
    samples = [rng.standard_normal((n, 3)) + shift for n, shift in ((4, 0), (7, 2), (1, -1))]
    groups = []
    for each in samples:
        mean = each.mean(axis=0)
        groups.append(Group(len(each), mean, scatter_root(each)))
    together = np.concatenate(samples)
    model = fit(groups)
    assert model.mean == pytest.approx(together.mean(axis=0))
    assert model.root @ model.root.T == pytest.approx(np.cov(together, rowvar=False))
    nested = fit([merge(groups[:2]), groups[2]])
    assert nested.root @ nested.root.T == pytest.approx(np.cov(together, rowvar=False))


def test_a_singular_covariance_stays_as_thin_as_it_is():
    rng = Stream.of("test fit").numpy()
    model = fit([draw_standard(6, 3, rng)])
    assert model.root.shape == (6, 2)
    again = fit([draw_from(model, 50, 1.0, rng)])
    assert again.root.shape == (6, 2)
    eigenvalues = np.linalg.eigvalsh(again.root @ again.root.T)
    assert (eigenvalues[:4] < 1e-12).all() and (eigenvalues[4:] > 1e-3).all()


@pytest.mark.parametrize(("n_r", "n_s"), [(3, 3), (3, 4), (4, 4), (2, 3), (1, 6), (6, 1), (2, 9)])
def test_whatever_the_sizes_a_square_root_is_a_triangle_and_the_spectrum_that_of_the_covariance(n_r, n_s):
    # Around n − 1 = d columns of the scatter and between groups may add up to d, and be no triangle.
    d, rng = 6, Stream.of("test fit").numpy()
    model = fit([draw_standard(d, 30, rng)])
    for _ in range(4):
        model = fit([draw_standard(d, n_r, rng), draw_from(model, n_s, 0.9, rng)])
        if model.root.shape[1] == d:
            assert (np.triu(model.root, 1) == 0).all()
        found = np.sort(np.concatenate([np.zeros(d), spectrum(model)]))[-d:]
        assert found == pytest.approx(np.linalg.eigvalsh(model.root @ model.root.T), abs=1e-9)


def test_a_covariance_singular_to_working_precision_is_no_error():
    rng = Stream.of("test fit").numpy()
    root = np.asfortranarray(np.diag([1.0, 1e-170, 1e-200]))  # squares that are 0
    model = fit(
        [draw_from(Model(np.zeros(3), root), 20, 1.0, rng), draw_from(Model(np.zeros(3), root), 5, 1.0, rng)]
    )
    assert np.isfinite(model.root).all()
    assert (model.root @ model.root.T)[0, 0] > 0.1


@pytest.mark.parametrize("shape", [(5, 5), (5, 2)])
def test_the_gram_matrix_has_the_eigenvalues_of_the_covariance(shape):
    root = np.asfortranarray(np.tril(Stream.of("test fit").numpy().standard_normal(shape)))
    gram = Model(np.zeros(5), root).gram()
    assert np.linalg.eigvalsh(gram) == pytest.approx(
        np.linalg.eigvalsh(root @ root.T)[5 - shape[1] :], abs=1e-12
    )
