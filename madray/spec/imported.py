"""Parts of the user's own, named by import path: `mypackage.models:MyVAE`."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from functools import lru_cache
from typing import Any, Self

from pydantic import ConfigDict, field_validator, model_validator

from madray.errors import BadInput
from madray.keys import canonical
from madray.spec.base import Prose, Settings, refuse, refuse_at


@lru_cache(maxsize=256)
def load_object(path: str) -> Any:
    """The object at `module:Name`.

    Raises: BadInput, if the module does not import or has no such name.
    """
    module_name, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # a user's module may raise anything while it is imported
        raise BadInput(
            f"expected {path!r} to import, got {_told(error)}; try PYTHONPATH=. or installing its package"
        ) from error
    return found


def _told(error: BaseException | None) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class Imported(Settings):
    """A part named by import path; all fields but `kind` go to its constructor as keywords.

    Its key holds the import path, the settings, and the class attribute `version`, or, without one, the
    digest of its module's source: editing the module makes anew what it made.
    """

    model_config = ConfigDict(extra="allow")

    kind: str

    @field_validator("kind")
    @classmethod
    def _imports(cls, kind: str) -> str:
        try:
            load_object(kind)
        except BadInput as error:
            told = Prose(f"{kind!r}: {_told(error.__cause__)}")
            raise refuse("an import path that works", told, "is its folder on PYTHONPATH?") from None
        return kind

    @model_validator(mode="after")
    def _stands_in_a_key(self) -> Self:
        for name, value in self.settings.items():
            try:
                canonical(value)
            except (TypeError, ValueError):
                raise refuse_at(name, "text, numbers, true, false, lists and mappings", value) from None
        return self

    @property
    def implementation(self) -> str:
        """The import path, as families of ours have it too."""
        return self.kind

    @property
    def settings(self) -> dict[str, Any]:
        """The keywords for the constructor."""
        return dict(self.model_extra or {})

    def load(self) -> Any:
        """The user's class (or function)."""
        return load_object(self.kind)

    def canonical(self) -> dict[str, Any]:
        # Not flat: a keyword may be called `version`, too.
        return {"kind": self.kind, "version": self._version(), "settings": self.settings}

    def _version(self) -> str | int:
        loaded = self.load()
        version = getattr(loaded, "version", None)
        if isinstance(version, str | int):
            return version
        try:
            source = inspect.getsource(inspect.getmodule(loaded) or loaded)
        except (OSError, TypeError):
            raise BadInput(
                f"expected {self.kind} to have a source file or an attribute `version`, got neither; "
                "try `version = 1` in the class"
            ) from None
        return "source:" + hashlib.sha256(source.encode()).hexdigest()[:40]
