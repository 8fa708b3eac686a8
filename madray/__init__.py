"""madray: what happens to a generative model that is trained on its own output, generation after generation.

>>> import madray
>>> madray.__version__
'0.1.0'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madray import theory
    from madray.results import open
    from madray.running import run_chain

__version__ = "0.1.0"
__all__ = ["__version__", "open", "run_chain", "theory"]

_HOMES = {"open": "madray.results", "run_chain": "madray.running"}


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for, so that `import madray` costs nothing.
    import importlib

    if name == "theory":
        return importlib.import_module("madray.theory")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'madray' has no attribute {name!r}")
