"""Numbers about one generation: distances to the real distribution, quality, diversity.

Measures on plain arrays are named here. How a sweep measures is in `measure` (one metric), `features`
(one extractor) and `real_side` (what all generations are compared with). NumPy is all that loads.
"""

from madray.metrics.evidence import Evidence, RealSide
from madray.metrics.frechet import frechet_between_gaussians, frechet_distance
from madray.metrics.modes import average_modal_variance, modes_covered
from madray.metrics.precision_recall import PrecisionRecall, precision_recall
from madray.metrics.variance import trace_of_covariance
from madray.metrics.wasserstein import w2_squared_between_gaussians

__all__ = [
    "Evidence",
    "PrecisionRecall",
    "RealSide",
    "average_modal_variance",
    "frechet_between_gaussians",
    "frechet_distance",
    "modes_covered",
    "precision_recall",
    "trace_of_covariance",
    "w2_squared_between_gaussians",
]
