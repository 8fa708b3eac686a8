"""The JSON Schema of sweep files."""

from __future__ import annotations

from typing import Any

from madray.spec.chain import Chain
from madray.spec.sweep import Sweep


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
    fields = chain["properties"]
    whole["properties"]["grid"]["properties"] = {
        name: {
            "type": "array",
            "items": {key: value for key, value in field.items() if key != "default"},
            "minItems": 1,
        }
        for name, field in fields.items()
    }
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return whole
