"""Random samples of some generations side by side, as they were measured."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from madray.errors import BadInput
from madray.pictures import SHOWN, grid
from madray.report.chains import Point
from madray.report.style import new_panels
from madray.results import SweepResults


def sample_grids(sweep: SweepResults, point: Point, shown: Sequence[int]) -> Figure:
    """The first samples of the real set, and of each of some generations of a cell.

    They are the first of what was measured: labels and order are random. Those of generations are the
    pictures in the store, which stay whatever is kept.

    Raises: BadInput, if they are no images; Missing, if a picture or the reference is not in the store.
    """
    n_eval = sweep.generation(point, 1).cell.chain.n_eval
    real = sweep.real(point).head(min(SHOWN, n_eval))
    if not real.is_image:
        raise BadInput(f"expected images to show, got samples of shape {real.shape}")
    figure, panels = new_panels(["real", *(f"generation {t}" for t in shown)])
    pictures = [grid(real.values), *(_pixels(sweep.grid(point, t)) for t in shown)]
    for axes, picture in zip(panels, pictures, strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
    return figure


def _pixels(picture: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(picture)), np.uint8)
