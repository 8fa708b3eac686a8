"""Pictures: what one sees is what there is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from madray.pictures import SHOWN, density, grid, picture_of
from madray.samples import SampleSet
from madray.streams import Stream

GREY = 128


def some_images(n: int, channels: int = 1, side: int = 8) -> NDArray[np.uint8]:
    return Stream.of("pictures", n).numpy().integers(256, size=(n, channels, side, side)).astype(np.uint8)


def some_points(n: int) -> NDArray[np.float32]:
    return Stream.of("points").numpy().standard_normal((n, 2)).astype(np.float32)


def seen(png: bytes | None) -> NDArray[np.uint8]:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)))


def test_images_stand_in_rows_with_a_grey_gap_between_them() -> None:
    images = some_images(3, side=40)
    sheet = grid(images, gap=2)
    assert sheet.shape == (82, 82, 1)
    assert np.array_equal(sheet[:40, :40, 0], images[0, 0])
    assert np.array_equal(sheet[:40, 42:, 0], images[1, 0])
    assert np.array_equal(sheet[42:, :40, 0], images[2, 0])
    assert (sheet[40:42] == GREY).all()
    assert (sheet[:, 40:42] == GREY).all()
    assert (sheet[42:, 42:] == GREY).all()  # no fourth image


def test_small_images_are_enlarged_pixel_by_pixel() -> None:
    images = some_images(1, side=8)
    sheet = grid(images)
    assert sheet.shape == (40, 40, 1)
    assert np.array_equal(sheet[::5, ::5, 0], images[0, 0])
    assert np.array_equal(sheet[4::5, 4::5, 0], images[0, 0])


@pytest.mark.parametrize(("side", "pixels"), [(8, 40), (28, 56), (32, 64), (40, 40), (64, 64)])
def test_enlarged_images_have_40_pixels_or_more(side: int, pixels: int) -> None:
    assert grid(some_images(1, side=side)).shape == (pixels, pixels, 1)


@pytest.mark.parametrize(
    ("n", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2), (5, 2, 3), (64, 8, 8)]
)
def test_a_grid_is_as_square_as_can_be(n: int, rows: int, columns: int) -> None:
    assert grid(some_images(n)).shape == (rows * 42 - 2, columns * 42 - 2, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_of_images_holds_their_pixels(channels: int) -> None:
    images = some_images(2, channels, side=40)
    found = seen(picture_of(SampleSet(images)))
    assert found.shape == ((40, 82) if channels == 1 else (40, 82, 3))
    assert np.array_equal(found.reshape(40, 82, channels)[:, :40], images[0].transpose(1, 2, 0))


def test_a_picture_shows_the_first_64_images() -> None:
    images = some_images(SHOWN + 36)
    assert picture_of(SampleSet(images)) == picture_of(SampleSet(images[:SHOWN]))
    assert picture_of(SampleSet(images[:5])) != picture_of(SampleSet(images[:SHOWN]))


def test_the_same_samples_give_the_same_bytes() -> None:
    for samples in (SampleSet(some_images(4)), SampleSet(some_points(100))):
        assert picture_of(samples) == picture_of(samples)


@pytest.mark.parametrize("d", [1, 3, 100])
def test_vectors_outside_the_plane_have_no_picture(d: int) -> None:
    assert picture_of(SampleSet(np.zeros((4, d), np.float32))) is None


def test_points_in_the_plane_are_dark_where_they_are_many() -> None:
    # 90 points at the lower left and 10 at the upper right: the first is black, the second lighter.
    points = np.array([[0, 0]] * 90 + [[1, 1]] * 10, np.float32)
    image = density(points)[:, :, 0]
    assert image.shape == (320, 320)
    y, x = np.nonzero(image == 0)
    assert x.max() < 160 < y.min()
    y, x = np.nonzero((image > 0) & (image < 255))
    assert y.max() < 160 < x.min()
    assert set(image[y, x].tolist()) == {int(255 * (1 - np.sqrt(10 / 90)))}


def test_a_picture_of_points_is_a_grey_png() -> None:
    found = seen(picture_of(SampleSet(some_points(1000))))
    assert np.array_equal(found, density(some_points(1000))[:, :, 0])
    assert (found.min(), found.max()) == (0, 255)


def test_a_far_outlier_does_not_shrink_the_rest() -> None:
    points = some_points(1000)
    points[0] = 1e6
    assert (density(points) < 255).sum() > 0.5 * (density(some_points(1000)) < 255).sum()


@pytest.mark.parametrize("where", [0, 1, 1e6, -1e30])
def test_collapsed_points_are_one_dark_spot(where: float) -> None:
    image = density(np.full((50, 2), where, np.float32))
    assert (image == 0).sum() == 4 * 4
    assert set(np.unique(image)) == {0, 255}


def test_points_that_diverged_are_left_out() -> None:
    points = some_points(100)
    lost = np.array([[np.nan, 0], [np.inf, 1], [0, -np.inf]], np.float32)
    assert np.array_equal(density(np.concatenate([lost, points])), density(points))
    assert (density(lost) == 255).all()
