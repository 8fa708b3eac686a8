"""Pictures of samples: a grid of images, or the density of points in the plane, as PNG."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray

from madray.samples import SampleSet

SHOWN = 64
"""How many images a grid shows."""

_PIXELS_AT_LEAST = 40
_PLANE_PIXELS = 320


def picture_of(samples: SampleSet) -> bytes | None:
    """A PNG of the first samples: a grid of images, a density of points in the plane, None of all else."""
    if samples.is_image:
        return _png(grid(samples.head(min(SHOWN, len(samples))).values))
    if samples.shape == (2,):
        return _png(density(samples.values))
    return None


def grid(images: NDArray[np.uint8], *, gap: int = 2) -> NDArray[np.uint8]:
    """Images of shape (n, channels, height, width) side by side, shape (height, width, channels).

    Small images are enlarged by a whole factor, pixel by pixel, so that what one sees is what there is.

    >>> grid(np.zeros((4, 1, 8, 8), np.uint8)).shape
    (82, 82, 1)
    """
    n, channels, height, width = images.shape
    factor = max(1, -(-_PIXELS_AT_LEAST // max(height, width)))
    large = images.repeat(factor, axis=2).repeat(factor, axis=3)
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    high, wide = height * factor + gap, width * factor + gap
    sheet = np.full((rows * high - gap, columns * wide - gap, channels), 128, np.uint8)
    for place, image in enumerate(large):
        top, left = (place // columns) * high, (place % columns) * wide
        sheet[top : top + high - gap, left : left + wide - gap] = image.transpose(1, 2, 0)
    return sheet


def density(points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Points in the plane as a grey image, darker where there are more; the frame holds 98 % of them.

    Points at infinity, or nowhere, are left out: a model that diverged is a result as well.
    """
    points = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    if not len(points):
        return np.full((_PLANE_PIXELS, _PLANE_PIXELS, 1), 255, np.uint8)
    low, high = np.quantile(points, [0.01, 0.99], axis=0)
    middle, reach = (low + high) / 2, float((high - low).max()) * 0.6
    reach = max(reach, 1e-6 * float(np.abs(middle).max()), 1e-6)  # all points may be one
    frame = [[middle[0] - reach, middle[0] + reach], [middle[1] - reach, middle[1] + reach]]
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=_PLANE_PIXELS // 4, range=frame)
    shade = 255 * (1 - np.sqrt(counts / max(counts.max(), 1)))
    image: NDArray[np.uint8] = shade.T[::-1].astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    return image[:, :, np.newaxis]


def _png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(sink, format="PNG")
    return sink.getvalue()
