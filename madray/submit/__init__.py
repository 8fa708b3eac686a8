"""Sends a sweep to a cluster: as a RayJob of KubeRay's, or as a job of a Ray cluster that is running.

What runs there is `madray sweep`. The store is the ledger, so whatever dies, on either side, the same
command goes on with what is missing: a job may be submitted again at any time, and a lost cluster replaced.
"""

from madray.submit.errand import Errand
from madray.submit.kubernetes import Manifests, apply, manifests
from madray.submit.ray_jobs import submit_to_ray
from madray.submit.raycluster import ray_cluster, with_image
from madray.submit.room import fill_cluster

__all__ = [
    "Errand",
    "Manifests",
    "apply",
    "fill_cluster",
    "manifests",
    "ray_cluster",
    "submit_to_ray",
    "with_image",
]
