"""The part of kustomize that our overlays use, so that they can be checked where there is no kubectl."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

Object = dict[str, Any]

KUBERNETES = Path(__file__).parents[2] / "cluster" / "kubernetes"
CLUSTERS = sorted(path.parent for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
ENVIRONMENTS = [KUBERNETES / name for name in ("environment", "mlflow", "shared-store")]


def build(folder: Path) -> list[Object]:
    """The objects of a kustomization: its resources, changed by its components, patches, images and namespace."""
    return _changed(folder, [])


def _changed(folder: Path, objects: list[Object]) -> list[Object]:
    told = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    unknown = set(told) - {
        "apiVersion",
        "kind",
        "resources",
        "components",
        "patches",
        "images",
        "namespace",
    }
    assert not unknown, f"{folder}: {unknown} would have to be taught here"
    for name in told.get("resources", []):
        path = folder / name
        objects += build(path) if path.is_dir() else yaml.safe_load_all(path.read_text("utf-8"))
    for name in told.get("components", []):
        objects = _changed(folder / name, objects)
    for patch in told.get("patches", []):
        assert set(patch["target"]) == {"kind"}
        steps = yaml.safe_load(patch["patch"])
        objects = [
            jsonpatch.apply_patch(each, steps) if each["kind"] == patch["target"]["kind"] else each
            for each in objects
        ]
    for image in told.get("images", []):
        for container in containers(objects):
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    if "namespace" in told:
        for each in objects:
            if each["kind"] == "Namespace":
                each["metadata"]["name"] = told["namespace"]
            else:
                each["metadata"]["namespace"] = told["namespace"]
    return objects


def containers(value: Any) -> list[Object]:
    """All containers in objects, at whatever depth."""
    if isinstance(value, list):
        return [found for each in value for found in containers(each)]
    if not isinstance(value, dict):
        return []
    own = [each for name in ("containers", "initContainers") for each in value.get(name, [])]
    return own + [found for each in value.values() for found in containers(each) if found not in own]


def documents(path: Path) -> list[Object]:
    """The YAML documents in a file."""
    return [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each is not None]


def size_bytes(text: str) -> int:
    """A quantity of memory, in bytes: `28Gi`."""
    found = re.fullmatch(r"(\d+)(Gi|Mi|)", text)
    assert found is not None, text
    return int(found[1]) * {"Gi": 1 << 30, "Mi": 1 << 20, "": 1}[found[2]]
