"""The manifests against the schemas of Kubernetes, the rules of KubeRay, and what cluster/SECURITY.md promises."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kuberay import AUTOSCALER_V2, cluster_spec, groups, problems
from kustomizing import CLUSTERS, ENVIRONMENTS, KUBERNETES, build, containers, documents, size_bytes
from rendered import ERRAND, clusters, jobs, named, plain_objects, things

from madray.submit import Errand, manifests, ray_cluster

Object = dict[str, Any]

KUBERNETES_VERSION = "1.33"
ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((KUBERNETES / "examples").glob("*.yaml"))


def pod_specs(thing: Object) -> list[Object]:
    """The pods of a RayCluster or a RayJob."""
    found = [group["template"]["spec"] for group in groups(thing)]
    if thing["kind"] == "RayJob":
        found.append(thing["spec"]["submitterPodTemplate"]["spec"])
    return found


def all_pod_specs() -> list[Object]:
    """All pods that there ever are, but those that KubeRay adds."""
    own = [
        each["spec"]["template"]["spec"]
        for each in plain_objects()
        if each["kind"] in ("Deployment", "StatefulSet")
    ]
    return own + [spec for thing in things() for spec in pod_specs(thing)]


def test_every_yaml_under_cluster_parses() -> None:
    files = sorted((ROOT / "cluster").rglob("*.yaml"))
    assert len(files) > 20
    for file in files:
        assert documents(file), file


@pytest.mark.parametrize("thing", plain_objects(), ids=named)
def test_objects_agree_with_the_schemas_of_kubernetes(thing: Object) -> None:
    kubernetes_validate.validate(thing, KUBERNETES_VERSION, strict=True)


@pytest.mark.parametrize("place", range(2 * len(CLUSTERS) + 2))
def test_pods_of_ray_agree_with_the_schemas_of_kubernetes(place: int) -> None:
    for spec in pod_specs(things()[place]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)


def test_the_schemas_see_a_mistake() -> None:
    spec = copy.deepcopy(pod_specs(ray_cluster(None))[0])
    spec["containers"][0]["imagePullpolicy"] = "Always"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)


def test_kuberay_and_kueue_take_all_clusters_and_jobs() -> None:
    assert {named(thing): problems(thing) for thing in things()} == {named(thing): [] for thing in things()}


def head(job: Object) -> Object:
    spec: Object = job["spec"]["rayClusterSpec"]["headGroupSpec"]
    return spec


MISTAKES: dict[str, Callable[[Object], Any]] = {
    "is longer than 47": lambda job: job["metadata"].update(name="a" * 48),
    "is no DNS 1035 label": lambda job: job["metadata"].update(name="1-sweep"),
    "the version of": lambda job: job.update(apiVersion="ray.io/v1alpha1"),
    "a group has no container": lambda job: head(job)["template"]["spec"].update(containers=[]),
    "stand in rayStartParams and in resources": lambda job: head(job).update(resources={"CPU": "1"}),
    "labels stand in rayStartParams": lambda job: head(job)["rayStartParams"].update(labels="a=b"),
    "no string": lambda job: head(job)["rayStartParams"].update({"num-cpus": 0}),
    "outside of its bounds": lambda job: cluster_spec(job)["workerGroupSpecs"][0].update(replicas=9),
    "is suspended": lambda job: cluster_spec(job)["workerGroupSpecs"][0].update(suspend=True),
    "one name": lambda job: cluster_spec(job)["workerGroupSpecs"][0].update(groupName="gpu"),
    "group gpu is restarted by Kubernetes": lambda job: cluster_spec(job)["workerGroupSpecs"][1]["template"][
        "spec"
    ].update(restartPolicy="Always"),
    "RAY_REDIS_ADDRESS is set": lambda job: head(job)["template"]["spec"]["containers"][0]["env"].append(
        {"name": "RAY_REDIS_ADDRESS", "value": "redis"}
    ),
    "version is set twice": lambda job: head(job)["template"]["spec"]["containers"][0]["env"].append(
        {"name": AUTOSCALER_V2, "value": "1"}
    ),
    "there is no autoscaler": lambda job: [
        cluster_spec(job).update(enableInTreeAutoscaling=False),
        head(job)["template"]["spec"]["containers"][0]["env"].append({"name": AUTOSCALER_V2, "value": "1"}),
    ],
    "the head of an autoscaled": lambda job: head(job)["template"]["spec"].update(restartPolicy="Always"),
    "the autoscaler's version is v3": lambda job: cluster_spec(job)["autoscalerOptions"].update(version="v3"),
    "a token without rayVersion": lambda job: cluster_spec(job).pop("rayVersion"),
    "a token with Ray 2.51.0": lambda job: cluster_spec(job).update(rayVersion="2.51.0"),
    "the submission mode is": lambda job: job["spec"].update(submissionMode="k8sJobMode"),
    "expected a cluster or a selector": lambda job: job["spec"].update(clusterSelector={"a": "b"}),
    "does not shut its cluster down": lambda job: job["spec"].update(
        suspend=True, shutdownAfterJobFinishes=False
    ),
    "ttlSecondsAfterFinished is negative": lambda job: job["spec"].update(ttlSecondsAfterFinished=-1),
    "stands without": lambda job: job["spec"].update(shutdownAfterJobFinishes=False),
    "backoffLimit is negative": lambda job: job["spec"].update(backoffLimit=-1),
    "or set for an interactive job": lambda job: job["spec"].update(submissionMode="InteractiveMode"),
    "activeDeadlineSeconds": lambda job: job["spec"].update(activeDeadlineSeconds=0),
    "a sidecar submits": lambda job: job["spec"].update(submissionMode="SidecarMode"),
    "restartPolicy Never or OnFailure": lambda job: job["spec"]["submitterPodTemplate"]["spec"].pop(
        "restartPolicy"
    ),
    "nobody would wake it": lambda job: cluster_spec(job).update(suspend=True),
    "in a queue is autoscaled": lambda job: job["metadata"]["labels"].update(
        {"kueue.x-k8s.io/queue-name": "madray"}
    ),
    "more than seven groups": lambda job: [
        job["metadata"]["labels"].update({"kueue.x-k8s.io/queue-name": "madray"}),
        cluster_spec(job)["workerGroupSpecs"].extend(cluster_spec(job)["workerGroupSpecs"] * 3),
    ],
    "a job in a queue keeps": lambda job: [
        job["metadata"]["labels"].update({"kueue.x-k8s.io/queue-name": "madray"}),
        job["spec"].update(shutdownAfterJobFinishes=False),
    ],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_rules_of_kuberay_see_each_mistake(mistake: str) -> None:
    job = copy.deepcopy(jobs()["default"])
    MISTAKES[mistake](job)
    assert [problem for problem in problems(job) if mistake in problem], problems(job)


@pytest.mark.parametrize("spec", all_pod_specs())
def test_pods_are_those_of_the_restricted_profile(spec: Object) -> None:
    """As kubernetes.io/docs/concepts/security/pod-security-standards has it."""
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in container["securityContext"]
    kinds = {name for volume in spec.get("volumes", []) for name in volume if name != "name"}
    assert kinds <= {"emptyDir", "configMap", "persistentVolumeClaim"}


@pytest.mark.parametrize("spec", all_pod_specs())
def test_pods_say_what_they_need_and_no_more_than_they_may_have(spec: Object) -> None:
    for container in spec["containers"]:
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]) & set(resources["limits"])
    mounts = {each["name"] for container in spec["containers"] for each in container.get("volumeMounts", [])}
    claimed = {"data"}  # of the database: a StatefulSet makes that volume itself
    assert mounts - claimed == {volume["name"] for volume in spec.get("volumes", [])}


def test_ray_starts_from_nothing_and_has_shared_memory_for_its_objects() -> None:
    for thing in things():
        first, *workers = groups(thing)
        assert first["rayStartParams"]["num-cpus"] == "0"
        assert first["serviceType"] == "ClusterIP"
        for group in groups(thing):
            spec = group["template"]["spec"]
            shared = next(each for each in spec["volumes"] if each["name"] == "shared-mem")["emptyDir"]
            assert shared["medium"] == "Memory"
            room = size_bytes(shared["sizeLimit"])
            assert int(group["rayStartParams"]["object-store-memory"]) <= 0.8 * room
            assert room <= size_bytes(spec["containers"][0]["resources"]["limits"]["memory"]) / 2
            assert {"name": "shared-mem", "mountPath": "/dev/shm"} in spec["containers"][0]["volumeMounts"]
        if cluster_spec(thing)["enableInTreeAutoscaling"]:
            assert all(group["minReplicas"] == 0 for group in workers)
            assert cluster_spec(thing)["autoscalerOptions"]["version"] == "v2"


def test_every_cluster_asks_for_a_token_and_none_stands_in_a_manifest() -> None:
    assert all(cluster_spec(thing)["authOptions"] == {"mode": "token"} for thing in things())
    assert not [each for each in plain_objects() if each["kind"] == "Secret"]
    for container in containers([*plain_objects(), *things()]):
        for variable in container.get("env", []):
            secret = re.search("PASSWORD|TOKEN|SECRET|KEY", variable["name"])
            assert secret is None or "value" not in variable, variable["name"]
        words = [*container.get("command", []), *container.get("args", [])]
        assert not [word for word in words if re.search(r"://[^/]*:[^/]*@", word)]


def test_workers_have_no_token_of_kubernetes() -> None:
    for thing in things():
        assert all(
            group["template"]["spec"]["automountServiceAccountToken"] is False for group in groups(thing)[1:]
        )


def test_services_are_reached_from_the_cluster_alone() -> None:
    services = [each for each in plain_objects() if each["kind"] == "Service"]
    assert {each["metadata"]["name"] for each in services} == {"mlflow", "mlflow-database"}
    assert all(each["spec"]["type"] == "ClusterIP" for each in services)
    assert not [each for each in plain_objects() if each["kind"] in ("Ingress", "Route", "Gateway")]
    policies = {
        each["metadata"]["name"]: each["spec"] for each in plain_objects() if each["kind"] == "NetworkPolicy"
    }
    assert set(policies) == {"ray", "mlflow", "mlflow-database"}
    assert all(each["policyTypes"] == ["Ingress"] and each["ingress"] for each in policies.values())
    submitter = jobs()["default"]["spec"]["submitterPodTemplate"]["metadata"]["labels"]
    allowed = policies["ray"]["ingress"][1]["from"][0]["podSelector"]["matchLabels"]
    assert allowed.items() <= submitter.items()


def test_other_namespaces_get_through_by_their_name_alone() -> None:
    """A pod gives itself what labels it likes; this label of a namespace is written by Kubernetes."""
    policies = [each for each in plain_objects() if each["kind"] == "NetworkPolicy"]
    peers = [peer for each in policies for rule in each["spec"]["ingress"] for peer in rule["from"]]
    assert peers
    namespaces = [peer["namespaceSelector"] for peer in peers if "namespaceSelector" in peer]
    [operators] = namespaces
    assert set(operators) == {"matchLabels"}
    [(label, name)] = operators["matchLabels"].items()
    assert label == "kubernetes.io/metadata.name"
    guide = (ROOT / "cluster" / "README.md").read_text("utf-8")
    [installed] = re.findall(r"helm install kuberay-operator .*--namespace (\S+)", guide)
    assert name == installed
    assert not [peer for peer in peers if "ipBlock" in peer]


def test_what_is_made_without_a_cluster_of_ones_own_is_where_its_service_account_is() -> None:
    account = next(each for each in plain_objects() if each["kind"] == "ServiceAccount")
    cluster, made = clusters()["default"], manifests(ERRAND, clusters()["default"])
    for each in (cluster, made.job, made.config_map):
        assert each["metadata"]["namespace"] == account["metadata"]["namespace"]
    for group in groups(cluster):
        assert group["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]


def test_no_cluster_has_an_image_that_nodes_would_look_for_on_docker_hub() -> None:
    for container in containers(things()):
        assert re.fullmatch(r"registry\.example\.com/madray:\S+", container["image"])


def test_mlflow_wants_a_password_and_knows_its_own_name() -> None:
    server = next(each for each in plain_objects() if each["kind"] == "Deployment")
    [container] = containers([server])
    options = dict(word.removeprefix("--").split("=", 1) for word in container["args"])
    assert options["app-name"] == "basic-auth"
    assert options["backend-store-uri"].startswith("postgresql+psycopg2://")
    uri = next(
        variable["value"]
        for variable in groups(clusters()["s3-spot"])[0]["template"]["spec"]["containers"][0]["env"]
        if variable["name"] == "MLFLOW_TRACKING_URI"
    )
    assert uri.removeprefix("http://") in options["allowed-hosts"].split(",")
    assert "*" not in options["allowed-hosts"]


def test_the_spot_overlay_keeps_the_head_off_spot_nodes_and_workers_on_them() -> None:
    def terms(group: Object) -> list[Object]:
        required = group["template"]["spec"]["affinity"]["nodeAffinity"]
        found: list[Object] = required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        return found

    first, *workers = groups(clusters()["s3-spot"])
    [on_demand] = terms(first)
    assert {each["operator"] for each in on_demand["matchExpressions"]} == {"NotIn"}
    keys = [each["key"] for each in on_demand["matchExpressions"]]
    for group in workers:
        assert [term["matchExpressions"][0]["key"] for term in terms(group)] == keys
        assert {term["matchExpressions"][0]["operator"] for term in terms(group)} == {"In"}
        tolerated = {each["key"] for each in group["template"]["spec"]["tolerations"]}
        assert {"cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority"} <= tolerated
    assert "nvidia.com/gpu" in {each["key"] for each in workers[1]["template"]["spec"]["tolerations"]}


def test_the_store_is_in_reach_of_every_group() -> None:
    for group in groups(clusters()["shared-store"]):
        spec = group["template"]["spec"]
        assert {"name": "store", "persistentVolumeClaim": {"claimName": "madray-store"}} in spec["volumes"]
        assert {"name": "store", "mountPath": "/store"} in spec["containers"][0]["volumeMounts"]
    for group in groups(clusters()["s3-spot"]):
        assert group["template"]["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "madray-s3"}}]
    [claim] = build(KUBERNETES / "shared-store")
    assert claim["metadata"]["name"] == "madray-store"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_queue_variant_has_a_fixed_size_and_starts_suspended() -> None:
    cluster, job = clusters()["kueue"], jobs()["kueue"]
    [group] = groups(cluster)[1:]
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"] == 4
    assert cluster["spec"]["enableInTreeAutoscaling"] is False
    assert "autoscalerOptions" not in cluster["spec"]
    assert job["spec"]["suspend"] is True
    assert "suspend" not in job["spec"]["rayClusterSpec"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "madray"


def test_the_guide_gives_a_lost_head_more_than_the_five_minutes_of_kuberay() -> None:
    """`JobStatusCheckTimeoutExceeded` is not tried again, whatever `backoffLimit` says."""
    guide = (ROOT / "cluster" / "README.md").read_text("utf-8")
    told = "--set 'env[0].name=RAYJOB_STATUS_CHECK_TIMEOUT_SECONDS' --set-string 'env[0].value=3600'"
    assert told in guide
    assert "JobStatusCheckTimeoutExceeded" in guide


def test_the_version_of_ray_is_that_of_the_image() -> None:
    pinned = (ROOT / "cluster" / "constraints.txt").read_text("utf-8")
    found = re.search(r"^ray==(.+)$", pinned, re.MULTILINE)
    assert found is not None
    assert {cluster_spec(thing)["rayVersion"] for thing in things()} == {found[1]}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, which has kustomize in it")
@pytest.mark.parametrize("folder", [*CLUSTERS, *ENVIRONMENTS], ids=lambda folder: folder.name)
def test_kustomize_builds_what_the_tests_above_looked_at(folder: Path) -> None:
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    by_name = {named(each): each for each in yaml.safe_load_all(built.stdout)}
    assert by_name == {named(each): each for each in build(folder)}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_example_is_what_submit_writes(path: Path) -> None:
    from madray.submit import fill_cluster

    cluster = clusters()["s3-spot"]
    file = fill_cluster(ROOT / "sweeps" / "quickstart.yaml", (), cluster)
    made = manifests(Errand("quickstart", file.text, "s3://my-bucket/madray"), cluster)
    assert documents(path) == [made.config_map, made.job]
