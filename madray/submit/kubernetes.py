"""A sweep as a RayJob of KubeRay's, with the sweep file in a ConfigMap.

KubeRay makes a cluster for the job, runs `madray sweep` on its head, and takes the cluster away when that
ends. If the head is lost, or the sweep ends with failures, KubeRay tries again on a new cluster; what was
made is in the store, so nothing is made twice.
"""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from madray.errors import BadInput, MadrayError
from madray.keys import digest
from madray.submit.errand import Errand
from madray.submit.raycluster import Manifest, check_image, ray_container

NAME_LENGTH = 47
"""The longest name of a RayJob: its clusters' services are named after it."""

RETRIES = 10
"""How often KubeRay makes a new cluster for a job that failed: in days of work a head may well be lost."""

_FOLDER = "/etc/madray"
_CONFIG_MAP_BYTES = 1 << 20
_QUEUE = "kueue.x-k8s.io/"
_LABELS = {"app.kubernetes.io/name": "madray"}
_QUIET = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True)
class Manifests:
    """What is applied: a ConfigMap, and the RayJob that reads it."""

    config_map: Manifest
    job: Manifest

    @property
    def name(self) -> str:
        """Of both."""
        return str(self.job["metadata"]["name"])

    def text(self) -> str:
        """As YAML, for `kubectl apply`."""
        return yaml.dump_all(
            [self.config_map, self.job], Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
        )


def manifests(errand: Errand, cluster: Mapping[str, Any]) -> Manifests:
    """The RayJob that runs a sweep on a cluster like this one, and its ConfigMap.

    Its name says what it is of: the same sweep on the same cluster has the same name, an edited one another.
    A cluster that waits in a queue of Kueue's makes a job that waits there.

    Raises: BadInput, if the cluster names no image, or the sweep file is too long for a ConfigMap.
    """
    check_image(cluster)
    size = len(errand.text.encode())
    if size > _CONFIG_MAP_BYTES:
        raise BadInput(
            f"expected a sweep file of at most 1 MiB, which is what a ConfigMap holds, got {size} bytes"
        )
    name = job_name(errand.name, digest([errand.text, errand.variables(), cluster]))
    metadata: Manifest = {"name": name, "labels": dict(_LABELS)}
    if namespace := cluster["metadata"].get("namespace"):
        metadata["namespace"] = namespace
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": copy.deepcopy(metadata),
        "immutable": True,
        "data": {"sweep.yaml": errand.text},
    }
    queue = {
        label: value
        for label, value in cluster["metadata"].get("labels", {}).items()
        if label.startswith(_QUEUE)
    }
    metadata["labels"] |= queue
    job = {"apiVersion": cluster["apiVersion"], "kind": "RayJob", "metadata": metadata}
    return Manifests(config_map, {**job, "spec": _spec(errand, cluster, name)})


def job_name(sweep: str, key: str) -> str:
    """A name that Kubernetes takes for a job: lower case, dashes, and eight digits that tell it from others.

    >>> job_name("MNIST_lambda.v2", "0123456789abcdef")
    'mnist-lambda-v2-01234567'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", sweep.lower()).strip("-")
    if not plain[:1].isalpha():
        plain = f"sweep-{plain}"
    return f"{plain[: NAME_LENGTH - 9].rstrip('-')}-{key[:8]}"


def apply(made: Manifests) -> str:
    """Apply manifests through kubectl; returns what it says.

    Raises: BadInput, if there is no kubectl; MadrayError, if it fails.
    """
    try:
        done = subprocess.run(
            ["kubectl", "apply", "-f", "-"], input=made.text(), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise BadInput(
            "--apply: expected kubectl on the PATH, got none; try --output job.yaml, and apply that"
        ) from None
    if done.returncode:
        raise MadrayError(
            f"--apply: expected kubectl to apply {made.name}, got {' '.join(done.stderr.split())}"
        )
    return done.stdout


def _spec(errand: Errand, cluster: Mapping[str, Any], config_map: str) -> Manifest:
    spec = copy.deepcopy(cluster["spec"])
    suspended = spec.pop("suspend", False)
    head = spec["headGroupSpec"]
    container = ray_container(head)
    container["env"] = _with_variables(container.get("env", []), errand.variables())
    container.setdefault("volumeMounts", []).append({"name": "sweep", "mountPath": _FOLDER, "readOnly": True})
    head["template"]["spec"].setdefault("volumes", []).append(
        {"name": "sweep", "configMap": {"name": config_map}}
    )
    return {
        # Two shells read this, one in the submitter and one on the head: settings come as variables instead.
        "entrypoint": f"madray sweep {_FOLDER}/sweep.yaml",
        "submissionMode": "K8sJobMode",  # in HTTPMode a lost head is not noticed
        "backoffLimit": RETRIES,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 300,
        **({"suspend": True} if suspended else {}),
        "submitterConfig": {"backoffLimit": 5},  # the submitter only follows the log: it may lose it
        "submitterPodTemplate": _submitter(container["image"], head["template"]["spec"]),
        "rayClusterSpec": spec,
    }


def _submitter(image: str, head: Mapping[str, Any]) -> Manifest:
    """The pod that submits the job to the cluster, and follows its log."""
    return {
        "metadata": {"labels": {**_LABELS, "app.kubernetes.io/component": "submitter"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": copy.deepcopy(head.get("securityContext", {"runAsNonRoot": True})),
            "containers": [
                {
                    "name": "ray-job-submitter",
                    "image": image,
                    "resources": {
                        "requests": {"cpu": "500m", "memory": "512Mi"},
                        "limits": {"cpu": "1", "memory": "1Gi"},
                    },
                    "securityContext": copy.deepcopy(_QUIET),
                }
            ],
        },
    }


def _with_variables(env: list[Manifest], variables: Mapping[str, str]) -> list[Manifest]:
    kept = [each for each in env if each["name"] not in variables]
    return [*kept, *({"name": name, "value": value} for name, value in variables.items())]


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: texts of several lines as they are, nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
