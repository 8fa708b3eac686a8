"""P_r, the real distribution: analytic, or a finite data set of ours, of torchvision's or of the user's.

Importing this package loads neither torch nor scikit-learn.
"""

from madray.references.build import build_reference
from madray.references.protocol import Reference

__all__ = ["Reference", "build_reference"]
