"""Random samples of some generations side by side, as they were measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from madray.errors import BadInput
from madray.pictures import grid
from madray.report.chains import Point
from madray.report.style import new_panels
from madray.results import SweepResults
from madray.samples import SampleSet

SIDE = 10
"""Samples along a side of a grid, at most."""


def sample_grids(sweep: SweepResults, point: Point, shown: Sequence[int]) -> Figure:
    """The first samples of the real set, and of each of some generations of a cell: n × n of each.

    They are the first of what was measured: labels and order are random.

    Raises: BadInput, if they are no images; Missing, if they were not kept.
    """
    figure, [of_real, *panels] = new_panels(["real", *(f"generation {t}" for t in shown)])
    of_real.imshow(_square(sweep.real(point)), cmap="gray", vmin=0, vmax=255, interpolation="none")
    for axes, t in zip(panels, shown, strict=True):
        samples = sweep.generation(point, t).measured()
        axes.imshow(_square(samples), cmap="gray", vmin=0, vmax=255, interpolation="none")
    return figure


def _square(samples: SampleSet) -> NDArray[np.uint8]:
    if not samples.is_image:
        raise BadInput(f"expected images to show, got samples of shape {samples.shape}")
    side = min(SIDE, int(len(samples) ** 0.5))
    return grid(samples.head(side**2).values)
