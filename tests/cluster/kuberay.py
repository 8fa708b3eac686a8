"""What KubeRay's controller refuses in a RayCluster or a RayJob, and Kueue in one that waits in its queue.

From `ValidateRayClusterMetadata`, `ValidateRayClusterSpec`, `ValidateRayJobMetadata` and `ValidateRayJobSpec` in
ray-operator/controllers/ray/utils/validation.go (KubeRay 1.6), `GetSubmitterTemplate` in common/job.go, and
Kueue's limitations (kueue.sigs.k8s.io/docs/tasks/run/rayjobs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST = {"RayCluster": 53, "RayJob": 47}
FIRST_RAY_WITH_TOKENS = (2, 52)
RESOURCES = ("num-cpus", "num-gpus", "memory", "resources")
REDIS = ("RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME")
AUTOSCALER_V2 = "RAY_enable_autoscaler_v2"
QUEUE = "kueue.x-k8s.io/queue-name"
MODES = ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")


def problems(thing: Object) -> list[str]:
    """What would be refused, in sentences; nothing where all is well."""
    found = [*_metadata(thing)]
    if thing["kind"] == "RayJob":
        found += _job(thing["spec"])
    else:
        found += _cluster(thing["spec"])
    if QUEUE in thing["metadata"].get("labels", {}):
        found += _queued(thing)
    return found


def cluster_spec(thing: Object) -> Object:
    """The cluster that a RayJob or a RayCluster stands for."""
    spec: Object = thing["spec"]["rayClusterSpec"] if thing["kind"] == "RayJob" else thing["spec"]
    return spec


def groups(thing: Object) -> list[Object]:
    """The head's group, then the workers'."""
    spec = cluster_spec(thing)
    return [spec["headGroupSpec"], *spec.get("workerGroupSpecs", [])]


def _metadata(thing: Object) -> Iterator[str]:
    name = thing["metadata"]["name"]
    if thing["apiVersion"] != "ray.io/v1":
        yield f"the version of {name} is {thing['apiVersion']}"
    if len(name) > LONGEST[thing["kind"]]:
        yield f"the name {name} is longer than {LONGEST[thing['kind']]} characters"
    if not LABEL.fullmatch(name):
        yield f"the name {name} is no DNS 1035 label"


def _cluster(spec: Object) -> Iterator[str]:
    workers = spec.get("workerGroupSpecs", [])
    for group in [spec["headGroupSpec"], *workers]:
        yield from _group(group)
    for group in workers:
        yield from _workers(group, autoscaled=spec.get("enableInTreeAutoscaling", False))
    if len({group["groupName"] for group in workers}) < len(workers):
        yield "two groups of workers have one name"
    head = spec["headGroupSpec"]["template"]["spec"]["containers"]
    names = {each["name"] for each in head[0].get("env", [])} if head else set()
    yield from (f"{name} is set on the head" for name in REDIS if name in names)
    yield from _autoscaling(spec, names)
    if spec.get("authOptions", {}).get("mode") == "token":
        version = spec.get("rayVersion", "")
        if not re.fullmatch(r"\d+\.\d+\.\d+", version):
            yield "a token without rayVersion"
        elif tuple(map(int, version.split(".")[:2])) < FIRST_RAY_WITH_TOKENS:
            yield f"a token with Ray {version}"


def _group(group: Object) -> Iterator[str]:
    if not group["template"]["spec"].get("containers"):
        yield "a group has no container"
    parameters = group["rayStartParams"]
    if any(name in parameters for name in RESOURCES) and group.get("resources"):
        yield "resources stand in rayStartParams and in resources"
    if "labels" in parameters:
        yield "labels stand in rayStartParams"
    if not all(isinstance(value, str) for value in parameters.values()):
        yield "a start parameter is no string"


def _workers(group: Object, *, autoscaled: bool) -> Iterator[str]:
    if not group["minReplicas"] <= group.get("replicas", 0) <= group["maxReplicas"]:
        yield f"the group {group['groupName']} has replicas outside of its bounds"
    if group.get("suspend"):
        yield f"the group {group['groupName']} is suspended"
    if autoscaled and group["template"]["spec"].get("restartPolicy", "Never") != "Never":
        yield f"the autoscaled group {group['groupName']} is restarted by Kubernetes"


def _autoscaling(spec: Object, variables: set[str]) -> Iterator[str]:
    on = spec.get("enableInTreeAutoscaling", False)
    version = spec.get("autoscalerOptions", {}).get("version")
    if not on and AUTOSCALER_V2 in variables:
        yield "the autoscaler's version is set by a variable, and there is no autoscaler"
    if on and version is not None and AUTOSCALER_V2 in variables:
        yield "the autoscaler's version is set twice"
    if on and spec["headGroupSpec"]["template"]["spec"].get("restartPolicy", "Never") != "Never":
        yield "the head of an autoscaled cluster is restarted by Kubernetes"
    if version not in (None, "v1", "v2"):
        yield f"the autoscaler's version is {version}"


def _job(spec: Object) -> Iterator[str]:
    mode = spec.get("submissionMode", "K8sJobMode")
    cluster, selector = spec.get("rayClusterSpec"), spec.get("clusterSelector")
    if mode not in MODES:
        yield f"the submission mode is {mode}"
    if (cluster is None) == (selector is None):
        yield "expected a cluster or a selector of one"
    if spec.get("suspend") and (selector or not spec.get("shutdownAfterJobFinishes")):
        yield "a job that does not shut its cluster down is suspended"
    if spec.get("ttlSecondsAfterFinished", 0) < 0:
        yield "ttlSecondsAfterFinished is negative"
    if spec.get("ttlSecondsAfterFinished", 0) and not spec.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished stands without shutdownAfterJobFinishes"
    if spec.get("backoffLimit", 0) < 0 or (mode == "InteractiveMode" and spec.get("backoffLimit", 0)):
        yield "backoffLimit is negative, or set for an interactive job"
    if spec.get("activeDeadlineSeconds", 1) <= 0:
        yield "activeDeadlineSeconds is not positive"
    if mode == "SidecarMode" and ("submitterPodTemplate" in spec or "submitterConfig" in spec):
        yield "a sidecar submits, and a submitter is described"
    submitter = spec.get("submitterPodTemplate", {}).get("spec")
    if submitter is not None and submitter.get("restartPolicy") not in ("Never", "OnFailure"):
        yield "the submitter is the pod of a Job, which has restartPolicy Never or OnFailure"
    if cluster is not None:
        yield from _cluster(cluster)
        if cluster.get("suspend"):
            yield "the cluster of the job is suspended on its own, and nobody would wake it"


def _queued(thing: Object) -> Iterator[str]:
    spec = cluster_spec(thing)
    if spec.get("enableInTreeAutoscaling"):
        yield "a cluster in a queue is autoscaled"
    if len(spec["workerGroupSpecs"]) > 7:
        yield "a cluster in a queue has more than seven groups of workers"
    if thing["kind"] == "RayJob" and not thing["spec"].get("shutdownAfterJobFinishes"):
        yield "a job in a queue keeps its cluster"
