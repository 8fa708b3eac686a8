"""What all settings share: typed, frozen, refused at construction, and a canonical form for keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

Size = Annotated[int, Gt(0)]
"""A number of samples, steps or things: 1 or more."""

Count = Annotated[int, Ge(0)]
"""A number that may be 0."""

Positive = Annotated[float, Gt(0)]


class Settings(BaseModel):
    """Typed settings of one part. Fields are keyword-only; unknown ones are refused.

    `version` stands in the part's key. It is raised when a default changes, or when code changes
    what comes out; then everything this part made is made again.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        populate_by_name=True,
        allow_inf_nan=False,
    )

    version: ClassVar[int] = 1
    not_in_key: ClassVar[frozenset[str]] = frozenset()
    """Fields that change where or how a thing is found or made, never what it is."""

    @model_validator(mode="before")
    @classmethod
    def _fields_are_known(cls, given: Any) -> Any:
        # Pydantic would refuse an unknown field as well, but without naming the nearest known one.
        if isinstance(given, Mapping) and cls.model_config.get("extra") == "forbid":
            known = cls.known_fields()
            names = {*known.values(), *(known if cls.model_config.get("populate_by_name") else ())}
            for name in given:
                if name not in names:
                    near = [known[name]] if name in known else known.values()
                    hint = nearest(known.get(name, str(name)), near)
                    raise refuse_at(str(name), "a known field", Prose(repr(name)), hint)
        return given

    @classmethod
    def known_fields(cls) -> dict[str, str]:
        """How each field is written in files, by its name in Python."""
        return {name: field.alias or name for name, field in cls.model_fields.items()}

    def canonical(self) -> dict[str, Any]:
        """What stands in keys: the kind, the version, and the fields that are not at their default."""
        fields = self.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude=set(self.not_in_key)
        )
        kind = getattr(self, "kind", None)
        return {**fields, **({"kind": kind} if kind else {}), "version": self.version}


class Prose(str):
    """Words about what was found, where the value itself would say less; errors show them without quotes."""


def show(found: object) -> str:
    """A value as an error shows it, shortened.

    >>> show("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    """
    if isinstance(found, Prose):
        return str(found)
    text = repr(found)
    return text if len(text) <= 60 else text[:58] + "…"


def refuse(expected: str, found: object, hint: str = "") -> PydanticCustomError:
    """An error for validators of one field: what was expected, what was found, and perhaps what to do."""
    context: dict[str, Any] = {"expected": expected, "found": show(found), "hint": hint}
    return PydanticCustomError("madray", "expected {expected}, got {found}", context)


def refuse_at(field: str, expected: str, found: object, hint: str = "") -> ValidationError:
    """As `refuse`, for validators that look at several fields: it names the one to change."""
    line: InitErrorDetails = {"type": refuse(expected, found, hint), "loc": (field,), "input": found}
    return ValidationError.from_exception_data("settings", [line])


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of the known words, or all of them where none is near.

    >>> nearest("dpdm", ["ddpm", "gmm"])
    'did you mean ddpm?'
    """
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"


def short(settings: Any) -> Any:
    """How settings are written: the bare kind where all else is default, a mapping otherwise."""
    if not isinstance(settings, Settings):
        return settings
    fields = settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    kind = getattr(settings, "kind", None)
    if kind is None:
        return fields
    fields.pop("kind", None)
    return {"kind": kind, **fields} if fields else kind


class OneOf:
    """Marks a field that names one of several families: `ddpm`, or `{kind: ddpm, timesteps: 100}`.

    A kind with a colon is an import path (`mypackage.models:MyVAE`): a part of the user's own, read
    as `imported`, where users may bring their own.
    """

    def __init__(
        self, what: str, families: Iterable[type[Settings]], imported: type[Settings] | None = None
    ) -> None:
        self.what = what
        self.families = {family.model_fields["kind"].default: family for family in families}
        self.imported = imported
        self._classes = (*self.families.values(), *([imported] if imported is not None else []))

    def read(self, value: Any) -> Any:
        """The settings that a name, a mapping with `kind`, or settings themselves stand for."""
        if isinstance(value, self._classes):
            return value
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
            raise refuse(f"the name of a {self.what}, or a mapping with `kind`", value)
        kind = value["kind"]
        if ":" in kind and self.imported is not None:
            return self.imported.model_validate(dict(value))
        if kind not in self.families:
            path = " or an import path" if self.imported is not None else ""
            raise refuse(f"a known {self.what}{path}", kind, nearest(kind, self.families))
        return self.families[kind].model_validate(dict(value))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(short)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        members = [
            self._member(kind, handler.resolve_ref_schema(handler(family.__pydantic_core_schema__)))
            for kind, family in self.families.items()
        ]
        if self.imported is not None:
            path = {
                "type": "string",
                "pattern": "^[^:]+:[^:]+$",
                "description": "an import path, module:Name",
            }
            own = {"type": "object", "properties": {"kind": path}, "required": ["kind"]}
            members = [path, *members, own]
        return {
            "anyOf": [{"enum": sorted(self.families)}, *members],
            "description": f"a {self.what}: its name, or a mapping with `kind` and its settings",
        }

    def _member(self, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
        # A file has to say the kind; in Python the class does.
        named = {"const": kind, "description": f"which {self.what}"}
        return {
            **schema,
            "properties": {**schema["properties"], "kind": named},
            "required": ["kind", *schema.get("required", [])],
        }
