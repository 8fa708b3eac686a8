"""First centres: different points, and far apart."""

from __future__ import annotations

import numpy as np
import pytest

from madray.generators.seeding import spread_centres
from madray.streams import Stream


def random(name: str = "seeding") -> np.random.Generator:
    return Stream.of("test", name).numpy()


def test_no_two_centres_are_equal_and_few_points_give_few() -> None:
    points = np.array([[0.0, 1.0, 1.0, 1.0, 3.0, -0.0], [0.0, 2.0, 2.0, 2.0, 0.0, 0.0]])
    for count, expected in ((1, 1), (2, 2), (3, 3), (25, 3)):
        chosen = points[:, spread_centres(points, count, random())]
        assert chosen.shape[1] == expected
        assert len({tuple(point) for point in chosen.T.tolist()}) == expected


def test_points_that_differ_in_their_last_digit_are_different() -> None:
    points = 1e3 + np.float64([[0, 0, 1, 1, 2]]) * np.spacing(1e3)
    assert len(spread_centres(points, 5, random())) == 3


def test_clusters_far_apart_get_a_centre_each() -> None:
    """Ten clusters of width 10⁻³ at distances of 1: a centre lands in a cluster that has one already with a
    chance of 10⁻⁶ times a few, and only if all candidates do."""
    numbers = random("clusters")
    places = np.arange(10.0)
    points = (np.repeat(places, 50) + 1e-3 * numbers.normal(size=500))[None]
    for seed in range(20):
        chosen = points[0, spread_centres(points, 10, random(str(seed)))]
        assert sorted(np.round(chosen)) == places.tolist()


@pytest.mark.parametrize("n", [1, 5])
def test_points_without_coordinates_are_all_the_same(n: int) -> None:
    assert len(spread_centres(np.zeros((0, n)), 3, random())) == 1


def test_the_stream_decides() -> None:
    points = random("points").normal(size=(2, 200))
    chosen = [spread_centres(points, 8, random(name)).tolist() for name in ("a", "a", "b")]
    assert chosen[0] == chosen[1] != chosen[2]


def test_copies_draw_as_many_chances() -> None:
    """Of points at 0, 1 and 100 the first is any, by how many there are of it: 1 in 1,000 is not that of 0.
    300 starts, of which 0.3 do not begin there; more than 6 do in 3 of 10⁸ sets of seeds."""
    points, copies = np.array([[0.0, 1.0, 100.0]]), np.array([1998.0, 1.0, 1.0])
    first = [spread_centres(points, 1, random(str(seed)), copies=copies)[0] for seed in range(300)]
    assert sum(index != 0 for index in first) <= 6
    assert sorted(spread_centres(points, 3, random(), copies=copies).tolist()) == [0, 1, 2]
