"""The JSON Schema of sweep files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madray.spec.chain import Chain
from madray.spec.extending import EXTENDS
from madray.spec.sweep import ONE_FOR_ALL, Subject, Sweep
from madray.spec.theory import KINDS

Schema = dict[str, Any]

_PARTS = ("reference", "generator", "loop", "extractor")
"""Fields of a chain that are mappings with `kind`, or may be."""


def sweep_schema() -> Schema:
    """What editors need to complete and check a sweep file.

    The fields of a chain, or of theory, are all optional: those that the grid gives need not stand there. Nor
    need anything that a file which is extended may give; that it does is found on reading.
    """
    whole = Sweep.model_json_schema(by_alias=True)
    definitions = whole.setdefault("$defs", {})
    chain = Chain.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions |= chain.pop("$defs", {})
    chain.pop("required", None)
    kinds = [_kind(kind.model_json_schema(by_alias=True)) for kind in KINDS]
    theory = {"anyOf": [_partial(kind) for kind in kinds], "description": _description(whole, "theory")}
    grid = {"description": _description(whole, "grid"), "default": {}}
    # What a grid may vary depends on what the cells are. Of kinds that share a field the first allows most.
    fields = {name: field for kind in reversed(kinds) for name, field in kind["properties"].items()}
    of_theory, of_chain = _lists("theory", fields), _lists("chain", chain["properties"])
    # generator.timesteps and the like: what settings there are depends on the generator.
    of_chain["patternProperties"] = {r"^(reference|generator|loop)\..+$": {"type": "array", "minItems": 1}}
    parts = {name: chain["properties"][name] for name in _PARTS}
    chain["properties"] |= {name: _partial_part(part) for name, part in parts.items()}
    whole["properties"] |= {"chain": chain, "theory": theory, "grid": grid}
    whole["properties"] = {EXTENDS: _EXTENDS, **whole["properties"]}
    whole["if"] = {"required": ["theory"]}
    whole["then"] = {"properties": {"grid": {**grid, **of_theory}}, "not": {"required": ["chain"]}}
    whole["else"] = {
        "if": {"required": [EXTENDS], "not": {"required": ["chain"]}},  # it may be a chain or theory
        "then": {"properties": {"grid": {**grid, **_LISTS}}},
        "else": {"properties": {"grid": {**grid, **of_chain}}, "required": ["chain"]},
    }
    whole["allOf"] = [{"if": {"required": [EXTENDS]}, "else": _alone(whole, parts)}]
    del whole["required"]
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return whole


_LISTS: Schema = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}}

_EXTENDS: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "a sweep file that is read first, relative to this one; what this one gives counts more",
}


def _alone(whole: Schema, parts: Mapping[str, Schema]) -> Schema:
    """What a file has to give that extends no other."""
    chain = {name: {**_given(part), "description": part["description"]} for name, part in parts.items()}
    properties = {
        "chain": {"properties": chain, "description": _description(whole, "chain")},
        "theory": {"required": ["kind"], "description": _description(whole, "theory")},
    }
    return {"required": whole["required"], "properties": properties}


def _partial(mapping: Schema) -> Schema:
    """A mapping of which a file that is extended may give some fields."""
    return {name: value for name, value in mapping.items() if name not in ("required", "anyOf")}


def _partial_part(part: Schema) -> Schema:
    return {**part, "anyOf": [_partial(member) for member in part["anyOf"]]}


def _given(part: Schema) -> Schema:
    """What a mapping has to give: the kind, or all parts of a loop, and what there is no default for."""
    mappings = [member for member in part["anyOf"] if member.get("type") == "object"]
    needs = [
        {
            "if": {"properties": {"kind": member["properties"]["kind"]}, "required": ["kind"]},
            "then": {"required": member["required"]},
        }
        for member in mappings
        if len(member.get("required", [])) > 1
    ]
    with_other_ways = [member for member in mappings if "anyOf" in member]
    return {"allOf": [*needs, {"anyOf": [{"required": ["kind"]}, *with_other_ways]}]}


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
