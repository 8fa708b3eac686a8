"""The sweep file as types: a chain, or theory, with a grid over any of its fields, seeds, resources."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from madray.spec.base import Count, Positive, Prose, Settings, Size, refuse, refuse_at

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"

Subject = Literal["chain", "theory"]
"""What the cells of a sweep are, and the field of the file that says so."""

ONE_FOR_ALL: dict[Subject, tuple[str, ...]] = {
    "chain": ("n_eval", "metrics", "extractor", "measure_bias", "generations"),
    "theory": ("kind", "generations"),
}
"""Fields that no grid varies: cells that are measured alike can be compared."""


class Keep(Settings):
    """Which generations' weights and samples stay in the store; records and measurements always stay."""

    every: int | None = None
    """n: generations n, 2n, …; 1: all; None: none but the last."""

    def keeps(self, t: int, last: int) -> bool:
        """Whether generation t of a chain of `last` stays. The last always does.

        >>> [t for t in range(1, 8) if Keep(every=3).keeps(t, last=7)]
        [3, 6, 7]
        """
        return t == last or (self.every is not None and t % self.every == 0)

    def written(self) -> str:
        """As the file says it: `all`, `last` or `every n`."""
        return {None: "last", 1: "all"}.get(self.every, f"every {self.every}")


class _ReadsKeep:
    """Reads `all`, `last`, `every n` or `{every: n}`."""

    def read(self, value: Any) -> Keep:
        if isinstance(value, Keep):
            return value
        if isinstance(value, dict) and list(value) == ["every"]:
            value = f"every {value['every']}"
        if value == "all":
            return Keep(every=1)
        if value == "last":
            return Keep()
        found = re.fullmatch(r"every ([1-9]\d*)", value) if isinstance(value, str) else None
        if found is None:
            raise refuse("all, last, or every n", value)
        return Keep(every=int(found[1]))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda keep: keep.written()),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        every = {"type": "integer", "minimum": 1, "description": "n: the same as `every n`"}
        return {
            "anyOf": [
                {"type": "string", "pattern": r"^(all|last|every [1-9]\d*)$"},
                {
                    "type": "object",
                    "properties": {"every": every},
                    "required": ["every"],
                    "additionalProperties": False,
                },
            ]
        }


class Resources(Settings):
    """What a chain may take of the machines. Nothing here stands in a key.

    Results agree byte for byte for one number of `threads`; the rest changes nothing at all.
    """

    cpus: Positive = Field(1.0, description="CPUs of a trainer")
    gpus: float = Field(0.0, ge=0, description="GPUs of a trainer; a fraction shares one")
    threads: Size = Field(1, description="threads of numerical libraries in every process")
    concurrent: Size | None = Field(None, description="trainers at a time; as many as fit without")
    samplers: Count = Field(0, description="further actors of a trainer, of 1 CPU each, that only sample")
    max_failures: Count = Field(3, description="how often a trainer may die before its work counts as failed")
    checkpoint_seconds: Positive = Field(30.0, description="how often a long fit leaves a checkpoint")
    tables_gb: Positive = Field(4.0, description="how much of the object store shared samples may fill")


class Sweep(Settings):
    """A grid of cells, each run from some seeds."""

    name: str = Field(
        description="what the sweep is called in the store and in MLflow",
        json_schema_extra={"pattern": f"^{_NAME}$"},
    )
    chain: dict[str, Any] | None = Field(None, description="fields of a chain that all cells share")
    theory: dict[str, Any] | None = Field(
        None, description="fields of a calculation that all cells share, in place of a chain"
    )
    grid: dict[str, list[Any]] = Field(
        {},
        description="lists of values by (dotted) field of the chain, or theory; every combination is a cell",
    )
    seeds: Annotated[int, Field(gt=0)] | list[Count] = Field(
        1, description="how many seeds (0, 1, …), or which"
    )
    resources: Resources = Field(Resources(), description="what a chain may take of the machines")
    keep: Annotated[Any, _ReadsKeep()] = Field(
        Keep(every=1),
        description="whose weights and samples stay: all, last, or every n generations",
        json_schema_extra={"default": "all"},
    )

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(_NAME, name):
            raise refuse("letters, digits, dots, dashes and underscores, at most 100", name)
        return name

    @field_validator("grid")
    @classmethod
    def _lists_have_values(cls, grid: dict[str, list[Any]], info: ValidationInfo) -> dict[str, list[Any]]:
        subject: Subject = "chain" if info.data.get("theory") is None else "theory"
        for path, values in grid.items():
            if not values:
                raise refuse_at(path, "at least one value", Prose("an empty list"))
            if path.partition(".")[0] in ONE_FOR_ALL[subject]:
                raise refuse_at(
                    path, "one value for all cells", Prose("a list in the grid"), f"put it under {subject}"
                )
        return grid

    @model_validator(mode="after")
    def _is_of_one_subject(self) -> Sweep:
        if self.chain is None and self.theory is None:
            raise refuse_at("chain", "a value", Prose("none"))
        if self.chain is not None and self.theory is not None:
            raise refuse_at("theory", "a chain or theory", Prose("both"), "leave one out")
        if self.theory is not None and "keep" in self.model_fields_set:
            raise refuse_at(
                "keep", "a chain, whose weights and samples may go", Prose("theory"), "leave keep out"
            )
        return self

    @model_validator(mode="after")
    def _seeds_differ(self) -> Sweep:
        seeds = self.seeds
        if isinstance(seeds, list) and (not seeds or len(set(seeds)) < len(seeds)):
            raise refuse_at("seeds", "a list of different seeds", seeds)
        return self

    @property
    def subject(self) -> Subject:
        """What the cells are."""
        return "chain" if self.theory is None else "theory"

    @property
    def constants(self) -> dict[str, Any]:
        """The fields that all cells share."""
        return (self.chain if self.theory is None else self.theory) or {}

    @property
    def seed_list(self) -> list[int]:
        """The seeds, in order."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else sorted(self.seeds)
