"""What a loop is set by: its real part and its synthetic part. The paper's families are names for pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from madray.spec.base import Settings, nearest, refuse
from madray.spec.imported import Imported

Real = Literal["none", "fixed", "fresh", "fixed+fresh"]
Synthetic = Literal["none", "latest", "memory", "accumulate", "accumulate_subsample"]
Split = Literal["sample", "equal"]

NAMED: dict[str, tuple[Real, Synthetic]] = {
    "fully_synthetic": ("none", "latest"),
    "synthetic_augmentation": ("fixed", "latest"),
    "fresh_data": ("fresh", "latest"),
    "real_only": ("fresh", "none"),
}
"""The paper's three families, and the real-only control."""


class Loop(Settings):
    """Which draws make up a training set from generation 2 on.

    Written as a name (`fresh_data`), as a name with a part changed (`{kind: synthetic_augmentation,
    synthetic: accumulate}`), or part by part (`{real: fixed+fresh, synthetic: latest}`).
    """

    real: Real = Field(
        description="real part: none; fixed: the same n_r samples always; "
        "fresh: n_r new ones each generation; fixed+fresh: n_fixed and n_r"
    )
    synthetic: Synthetic = Field(
        description="synthetic part: none; latest: n_s from the last generation; "
        "memory: n_s from the last K; accumulate: n_s from each; "
        "accumulate_subsample: n_s of all there ever was"
    )
    split: Split = Field(
        "sample",
        description="memory: each sample picks its generation (sample), "
        "or each generation gives as many (equal)",
    )

    implementation: ClassVar[str | None] = None

    @property
    def has_real(self) -> bool:
        """Whether generations after the first see real samples."""
        return self.real != "none"

    @property
    def has_synthetic(self) -> bool:
        """Whether generations after the first see synthetic samples."""
        return self.synthetic != "none"

    def written(self) -> str | dict[str, str]:
        """The name of this loop, or its parts where it has none."""
        parts: dict[str, str] = {"real": self.real, "synthetic": self.synthetic}
        if self.split != "sample":
            return {**parts, "split": self.split}
        names = [name for name, pair in NAMED.items() if pair == (self.real, self.synthetic)]
        return names[0] if names else parts


class ImportedLoop(Imported):
    """A loop of the user's own: a class with `draws(t, *, sizes, seed)` → the draws of generation t ≥ 2
    (see `madray.loops`). It may carry the class attributes `has_real` and `has_synthetic` (True without)."""

    @property
    def has_real(self) -> bool:
        return bool(getattr(self.load(), "has_real", True))

    @property
    def has_synthetic(self) -> bool:
        return bool(getattr(self.load(), "has_synthetic", True))

    def written(self) -> str | dict[str, Any]:
        return {"kind": self.kind, **self.settings} if self.settings else self.kind


AnyLoop = Loop | ImportedLoop


class _ReadsLoop:
    """Reads a loop from its name, its parts, or an import path."""

    def read(self, value: Any) -> AnyLoop:
        if isinstance(value, Loop | ImportedLoop):
            return value
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, Mapping):
            raise refuse("the name of a loop, or a mapping with `real` and `synthetic`", value)
        parts = dict(value)
        kind = parts.pop("kind", None)
        if kind is None:
            return Loop.model_validate(parts)
        if isinstance(kind, str) and ":" in kind:
            return ImportedLoop.model_validate(dict(value))
        if kind not in NAMED:
            raise refuse("a known loop or an import path", kind, nearest(str(kind), NAMED))
        real, synthetic = NAMED[kind]
        return Loop.model_validate({"real": real, "synthetic": synthetic, **parts})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda loop: loop.written()),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        properties = {
            "kind": {"enum": sorted(NAMED), "description": "the loop whose parts are meant"},
            "real": {"enum": list(get_args(Real)), "description": Loop.model_fields["real"].description},
            "synthetic": {
                "enum": list(get_args(Synthetic)),
                "description": Loop.model_fields["synthetic"].description,
            },
            "split": {"enum": list(get_args(Split)), "description": Loop.model_fields["split"].description},
        }
        path = {"type": "string", "pattern": "^[^:]+:[^:]+$", "description": "an import path, module:Name"}
        own = {"type": "object", "properties": {"kind": path}, "required": ["kind"]}
        parts = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "anyOf": [{"required": ["kind"]}, {"required": ["real", "synthetic"]}],
        }
        return {
            "anyOf": [{"enum": sorted(NAMED)}, path, parts, own],
            "description": "a loop: its name, its parts, or an import path",
        }


LoopSettings = Annotated[Any, _ReadsLoop()]
