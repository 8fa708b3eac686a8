"""The JSON Schema of sweep files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madray.spec.chain import Chain
from madray.spec.sweep import ONE_FOR_ALL, Subject, Sweep
from madray.spec.theory import KINDS

Schema = dict[str, Any]


def sweep_schema() -> Schema:
    """What editors need to complete and check a sweep file.

    The fields of a chain, or of theory, are all optional: those that the grid gives need not stand there.
    """
    whole = Sweep.model_json_schema(by_alias=True)
    definitions = whole.setdefault("$defs", {})
    chain = Chain.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions |= chain.pop("$defs", {})
    chain.pop("required", None)
    kinds = [_kind(kind.model_json_schema(by_alias=True)) for kind in KINDS]
    theory = {"anyOf": kinds, "description": _description(whole, "theory")}
    grid = {"description": _description(whole, "grid"), "default": {}}
    whole["properties"] |= {"chain": chain, "theory": theory, "grid": grid}
    # What a grid may vary depends on what the cells are. Of kinds that share a field the first allows most.
    fields = {name: field for kind in reversed(kinds) for name, field in kind["properties"].items()}
    of_theory, of_chain = _lists("theory", fields), _lists("chain", chain["properties"])
    # generator.timesteps and the like: what settings there are depends on the generator.
    of_chain["patternProperties"] = {r"^(reference|generator|loop)\..+$": {"type": "array", "minItems": 1}}
    whole["if"] = {"required": ["theory"]}
    whole["then"] = {"properties": {"grid": {**grid, **of_theory}}, "not": {"required": ["chain"]}}
    whole["else"] = {"properties": {"grid": {**grid, **of_chain}}, "required": ["chain"]}
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return whole


def _kind(schema: Schema) -> Schema:
    """A kind of theory, which a file has to name; its other fields may be the grid's."""
    named = {"const": schema["properties"]["kind"]["const"], "description": "what is calculated"}
    return {**schema, "properties": {**schema["properties"], "kind": named}, "required": ["kind"]}


def _description(whole: Schema, field: str) -> str:
    return str(whole["properties"][field]["description"])


def _lists(subject: Subject, fields: Mapping[str, Schema]) -> Schema:
    """Lists of values of the fields that may differ from cell to cell."""
    lists = {
        name: {
            "type": "array",
            "items": {key: value for key, value in field.items() if key != "default"},
            "minItems": 1,
            "description": field["description"],
        }
        for name, field in fields.items()
        if name not in ONE_FOR_ALL[subject]
    }
    return {"type": "object", "properties": lists, "additionalProperties": False}
