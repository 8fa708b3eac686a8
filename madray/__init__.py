"""madray: what happens to a generative model that is trained on its own output, generation after generation.

>>> import madray
>>> madray.__version__
'0.1.0'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madray.results import open
    from madray.running import run_chain

__version__ = "0.1.0"
__all__ = ["__version__", "open", "run_chain"]

_HOMES = {"open": "madray.results", "run_chain": "madray.running"}


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for, so that `import madray` costs nothing.
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'madray' has no attribute {name!r}")
