"""t-SNE maps of real and synthetic samples: all generations in one map, so that coordinates compare."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from madray.errors import BadInput, Missing
from madray.metrics.features import extract
from madray.report.chains import Point
from madray.report.style import GREY, new_panels
from madray.results import SweepResults
from madray.samples import SampleSet
from madray.streams import Stream
from madray.theory.estimate import Array

EACH = 1000
"""Samples of the real set and of each generation, at most."""

_STREAM = Stream.of("tsne")

_NAME_BOX = {"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.7}


def embed(sets: Sequence[NDArray[np.float32]]) -> list[Array]:
    """Points in the plane for the rows of several sets of features, all in one map: shapes (n, 2).

    The same each time: the map begins at two principal components, and chance comes from one stream.

    Source: van der Maaten and Hinton 2008, as scikit-learn does it, with its perplexity of 30.

    >>> [points.shape for points in embed([np.eye(40, dtype=np.float32), np.ones((3, 40), np.float32)])]
    [(40, 2), (3, 2)]
    """
    from sklearn.manifold import TSNE

    together = np.concatenate(sets)
    perplexity = min(30.0, (len(together) - 1) / 3)
    model = TSNE(init="pca", perplexity=perplexity, random_state=_STREAM.integer())
    # More threads of OpenMP wait for each other in loops, on a busy machine for minutes.
    with threadpool_limits(1):
        points = model.fit_transform(together).astype(np.float64)
    return np.split(points, np.cumsum([len(each) for each in sets])[:-1])


def tsne_map(sweep: SweepResults, point: Point, shown: Sequence[int]) -> Figure:
    """Real samples, and those of some generations of a cell, in the features that its sweep compares.

    A panel for each, coloured by label; behind each generation the real samples are grey. Generations whose
    samples were not kept have none.

    Raises: BadInput, if there are no labels; Missing, if the reference is not in the store.
    """
    extractor = sweep.generation(point, 1).cell.chain.extractor
    real = sweep.real(point)
    sets = {"real": _labelled(real.head(min(EACH, len(real))))}
    for t in shown:
        with suppress(Missing):
            sets[f"generation {t}"] = _labelled(sweep.generation(point, t).measured(EACH))
    placed = embed([extract(extractor, samples, real) for samples in sets.values()])
    figure, panels = new_panels(list(sets))
    for axes, samples, points in zip(panels, sets.values(), placed, strict=True):
        if axes is not panels[0]:
            axes.scatter(placed[0][:, 0], placed[0][:, 1], s=2, color=GREY, alpha=0.2, linewidths=0)
        _scatter(axes, samples, points)
    _name_classes(panels[0], sets["real"], placed[0])
    return figure


def _labelled(samples: SampleSet) -> SampleSet:
    if samples.labels is None:
        raise BadInput("expected samples with labels to colour a map by, got none")
    return samples


def _scatter(axes: Axes, samples: SampleSet, points: Array) -> None:
    classes = samples.classes or 1
    colours = matplotlib.colormaps["tab10"].resampled(classes)
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=3,
        c=samples.labels,
        cmap=colours,
        vmin=-0.5,
        vmax=classes - 0.5,
        linewidths=0,
    )


def _name_classes(axes: Axes, real: SampleSet, points: Array) -> None:
    """Each label at the middle of its real samples: colours alone do not tell ten classes apart."""
    for label in range(real.classes or 0):
        if not np.any(its := real.labels == label):
            continue
        x, y = np.median(points[its], axis=0)
        axes.annotate(str(label), (x, y), ha="center", va="center", weight="bold", bbox=_NAME_BOX)
