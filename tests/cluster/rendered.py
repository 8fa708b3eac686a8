"""Everything that we have for Kubernetes, as it is when it is applied."""

from __future__ import annotations

from functools import cache

from kustomizing import CLUSTERS, ENVIRONMENTS, Object, build

from madray.submit import Errand, manifests, ray_cluster, with_image

ERRAND = Errand("quickstart", "name: quickstart\n", "s3://bucket/madray")
IMAGE = "registry.example.com/madray:0.1.0"


@cache
def clusters() -> dict[str, Object]:
    """All RayClusters that there are: madray's own, and those of the overlays."""
    own = {"default": with_image(ray_cluster(None), IMAGE)}
    return own | {
        folder.name: next(each for each in build(folder) if each["kind"] == "RayCluster")
        for folder in CLUSTERS
    }


def jobs() -> dict[str, Object]:
    """The RayJob that each of them makes."""
    return {name: manifests(ERRAND, cluster).job for name, cluster in clusters().items()}


def things() -> list[Object]:
    """All RayClusters and all RayJobs."""
    return [*clusters().values(), *jobs().values()]


def plain_objects() -> list[Object]:
    """Everything that is Kubernetes's own."""
    found = [each for folder in ENVIRONMENTS for each in build(folder)]
    found += [manifests(ERRAND, clusters()["default"]).config_map]
    return found


def named(thing: Object) -> str:
    return f"{thing['kind']}-{thing['metadata']['name']}"
