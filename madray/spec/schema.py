"""The JSON Schema of sweep files."""

from __future__ import annotations

from typing import Any

from madray.spec.chain import Chain
from madray.spec.sweep import ONE_FOR_ALL, Sweep


def sweep_schema() -> dict[str, Any]:
    """What editors need to complete and check a sweep file.

    A chain's fields are all optional here: those that the grid gives need not stand under `chain`.
    """
    whole = Sweep.model_json_schema(by_alias=True)
    chain = Chain.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions = whole.setdefault("$defs", {})
    definitions |= chain.pop("$defs", {})
    chain.pop("required", None)
    whole["properties"]["chain"] = chain
    fields = {name: field for name, field in chain["properties"].items() if name not in ONE_FOR_ALL}
    grid = whole["properties"]["grid"]
    grid["properties"] = {
        name: {
            "type": "array",
            "items": {key: value for key, value in field.items() if key != "default"},
            "minItems": 1,
            "description": field["description"],
        }
        for name, field in fields.items()
    }
    # generator.timesteps and the like: what settings there are depends on the generator.
    grid["patternProperties"] = {r"^(reference|generator|loop)\..+$": {"type": "array", "minItems": 1}}
    grid["additionalProperties"] = False
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return whole
