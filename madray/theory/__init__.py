"""The self-consuming loop of Gaussian models, exactly: closed forms, fast simulation, effective sample size.

`simulate` runs chains, `moments` and `second_moments` are their closed forms, `limit` is E W2² after many
generations, `effective_sample_size` what that is worth in real samples, and `boundary` how much synthetic
data a loop stands. Stands on NumPy, SciPy and, for GPUs and few dimensions, torch.

Results agree byte for byte on one kind of CPU with one number of BLAS threads; at these sizes one is fastest.
"""

from madray.theory.asymptotics import bias_floor, boundary_limit
from madray.theory.estimate import Estimate
from madray.theory.first_moments import Moments, moment_limit, moments
from madray.theory.limits import limit
from madray.theory.phase import Boundary, boundary
from madray.theory.real_only import (
    effective_sample_size,
    effective_sample_size_of_w2,
    real_only_w2,
    real_only_w2_squared,
)
from madray.theory.second_order import SecondMoments, second_moment_limit, second_moments
from madray.theory.simulation import Simulation, simulate

__all__ = [
    "Boundary",
    "Estimate",
    "Moments",
    "SecondMoments",
    "Simulation",
    "bias_floor",
    "boundary",
    "boundary_limit",
    "effective_sample_size",
    "effective_sample_size_of_w2",
    "limit",
    "moment_limit",
    "moments",
    "real_only_w2",
    "real_only_w2_squared",
    "second_moment_limit",
    "second_moments",
    "simulate",
]
