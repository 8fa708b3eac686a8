"""The RayCluster that a sweep's job gets: a manifest of the user's, or the one that comes with madray."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from madray.errors import BadInput

Manifest = dict[str, Any]
"""A Kubernetes object as plain data."""

UNNAMED = "madray"
"""Stands for an image in madray's own manifest: nobody else can know where yours is."""


def ray_cluster(path: Path | None) -> Manifest:
    """The RayCluster in a manifest file, or in a folder that kustomize builds; without a path, madray's own.

    Raises: BadInput, if there is not one RayCluster in it that has a head, workers and token authentication.

    >>> ray_cluster(None)["spec"]["authOptions"]
    {'mode': 'token'}
    """
    named = "madray's own RayCluster" if path is None else str(path)
    documents = _documents(_text(path), named)
    found = [each for each in documents if isinstance(each, dict) and each.get("kind") == "RayCluster"]
    if len(found) != 1:
        kinds = ", ".join(sorted({str(each.get("kind")) for each in documents if isinstance(each, dict)}))
        raise BadInput(
            f"--cluster: expected one RayCluster in {named}, got {len(found)} (kinds: {kinds or 'none'})"
        )
    _check(found[0], named)
    return found[0]


def with_image(cluster: Mapping[str, Any], image: str) -> Manifest:
    """The cluster with another image in the Ray container, the first one, of each group."""
    changed: Manifest = copy.deepcopy(dict(cluster))
    for group in groups(changed):
        ray_container(group)["image"] = image
    return changed


def check_image(cluster: Mapping[str, Any]) -> None:
    """See that the cluster's nodes have an image of the user's.

    Raises: BadInput, if one has none, or the name that stands for it, which nodes would ask Docker Hub for.
    """
    for group in groups(cluster):
        image = ray_container(group).get("image")
        if not image or image == UNNAMED:
            raise BadInput(
                "--image: expected the image that you built from cluster/Dockerfile, "
                f"got {f'{UNNAMED}, which only stands for it' if image else 'none'}; "
                "try --image registry.example.com/madray:0.1.0, or --cluster with an overlay that names it"
            )


def groups(cluster: Mapping[str, Any]) -> list[Manifest]:
    """The head's group, then the workers'."""
    spec = cluster["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def ray_container(group: Mapping[str, Any]) -> Manifest:
    """The container that runs Ray: KubeRay takes the first one for it."""
    container: Manifest = group["template"]["spec"]["containers"][0]
    return container


def _text(path: Path | None) -> str:
    if path is None:
        return files("madray.submit").joinpath("manifests/raycluster.yaml").read_text("utf-8")
    if path.is_dir():
        return _kustomized(path)
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--cluster: expected a manifest or a kustomization, got {error}") from None


def _kustomized(folder: Path) -> str:
    try:
        built = subprocess.run(
            ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise BadInput(
            f"--cluster: expected kubectl on the PATH to build the kustomization in {folder}, got none; "
            "try a file that it was built into"
        ) from None
    if built.returncode:
        told = " ".join(built.stderr.split())
        raise BadInput(f"--cluster: expected a kustomization in {folder}, got {told[:300]}")
    return built.stdout


def _documents(text: str, named: str) -> list[Any]:
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise BadInput(f"--cluster: expected YAML in {named}, got {' '.join(str(error).split())}") from None


def _check(cluster: Manifest, named: str) -> None:
    spec = cluster.get("spec")
    if not isinstance(spec, dict) or spec.get("authOptions", {}).get("mode") != "token":
        # Without it whoever reaches the head can run anything there.
        raise BadInput(
            f"--cluster: expected token authentication in {named}, got a RayCluster without it; "
            "try spec.authOptions.mode: token (KubeRay 1.6 or newer)"
        )
    try:
        named_groups = groups(cluster)
        containers = [ray_container(group) for group in named_groups]
    except (KeyError, TypeError, IndexError) as error:
        raise BadInput(
            f"--cluster: expected a head and workers, each with a container, in {named}, got {error} missing"
        ) from None
    if len(containers) < 2 or not all(isinstance(each, dict) for each in containers):
        raise BadInput(f"--cluster: expected a head and groups of workers in {named}, got no workers")
