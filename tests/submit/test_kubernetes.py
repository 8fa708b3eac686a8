"""A sweep as a RayJob: what is in it, how it is called, how it is applied. Whether KubeRay takes it is tested in
tests/cluster."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import madray

from madray.errors import BadInput
from madray.spec.reading import parse_sweep
from madray.submit import Errand, apply, manifests, ray_cluster, with_image
from madray.submit.kubernetes import NAME_LENGTH, job_name

TEXT = """name: small
theory:
  kind: limit
  d: 2
  n_r: 10
  n_s: 10
"""
ERRAND = Errand("small", TEXT, "s3://bucket/madray?region=eu-north-1&scheme=https", "http://mlflow:5000")


IMAGE = "registry.example.com/madray:0.1.0"


def own_cluster() -> dict[str, Any]:
    """The cluster that comes with madray, with an image of the user's."""
    return with_image(ray_cluster(None), IMAGE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(TEXT)
    return tmp_path


def head_of(job: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    return pod


def test_the_head_finds_the_sweep_and_its_settings_without_a_word_in_the_entry_point() -> None:
    made = manifests(ERRAND, own_cluster())
    assert made.job["spec"]["entrypoint"] == "madray sweep /etc/madray/sweep.yaml"
    pod = head_of(made.job)
    variables = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert ERRAND.variables().items() <= variables.items()
    [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["mountPath"] == "/etc/madray"]
    [volume] = [each for each in pod["volumes"] if each["name"] == mount["name"]]
    assert volume["configMap"]["name"] == made.config_map["metadata"]["name"]
    assert made.config_map["data"] == {"sweep.yaml": TEXT}


def test_a_setting_of_the_errand_replaces_that_of_the_cluster() -> None:
    cluster = own_cluster()
    env = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    env.append({"name": "MLFLOW_TRACKING_URI", "value": "http://other:5000"})
    env = head_of(manifests(ERRAND, cluster).job)["containers"][0]["env"]
    assert [each["value"] for each in env if each["name"] == "MLFLOW_TRACKING_URI"] == ["http://mlflow:5000"]


def test_what_is_written_reads_back_the_same_and_the_sweep_too() -> None:
    made = manifests(ERRAND, own_cluster())
    config_map, job = yaml.safe_load_all(made.text())
    assert (config_map, job) == (made.config_map, made.job)
    assert parse_sweep(config_map["data"]["sweep.yaml"], name="small").sweep.name == "small"
    assert "sweep.yaml: |" in made.text()


def test_a_lost_head_is_replaced_by_a_new_cluster_and_a_finished_one_goes() -> None:
    spec = manifests(ERRAND, own_cluster()).job["spec"]
    assert spec["submissionMode"] == "K8sJobMode"
    assert spec["backoffLimit"] >= 3
    assert "activeDeadlineSeconds" not in spec  # KubeRay tries nothing again that ran out of it
    assert spec["shutdownAfterJobFinishes"] is True


def test_names_are_labels_and_tell_what_differs() -> None:
    names = [
        "MNIST_lambda.v2",
        "a" * 100,
        "2025-run",
        "___",
        "figure--9-",
        "x" * (NAME_LENGTH - 10) + "-y",
    ]
    for name in names:
        made = job_name(name, "0123456789abcdef")
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", made), made
        assert len(made) <= NAME_LENGTH
    cluster = own_cluster()
    first = manifests(ERRAND, cluster)
    assert manifests(copy.deepcopy(ERRAND), own_cluster()) == first
    others = [
        manifests(Errand("small", f"{TEXT}seeds: 2\n", ERRAND.store, ERRAND.tracking_uri), cluster),
        manifests(Errand("small", TEXT, "s3://other", ERRAND.tracking_uri), cluster),
        manifests(ERRAND, with_image(cluster, "other:1")),
    ]
    assert len({made.name for made in [first, *others]}) == 4


def test_the_cluster_that_was_given_is_left_alone() -> None:
    cluster = ray_cluster(None)
    before = copy.deepcopy(cluster)
    manifests(ERRAND, with_image(cluster, "other:1"))
    assert cluster == before


def test_an_image_is_that_of_all_pods() -> None:
    job = manifests(ERRAND, with_image(ray_cluster(None), "registry.example.com/mine:2")).job
    assert set(re.findall(r"image: (\S+)", yaml.dump(job))) == {"registry.example.com/mine:2"}


def test_a_sweep_file_that_no_config_map_holds_is_refused() -> None:
    with pytest.raises(BadInput, match="at most 1 MiB"):
        manifests(Errand("small", "#" * (1 << 20) + "!", "/store"), own_cluster())


KUBECTL = """#!/bin/sh
echo "$@" > "{folder}/arguments"
cat > "{folder}/stdin"
echo "{says}" {where}
exit {code}
"""


def put_kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, *, says: str, code: int) -> None:
    """A kubectl that keeps what it is told: a real one needs a cluster with KubeRay."""
    path = folder / "bin" / "kubectl"
    path.parent.mkdir()
    path.write_text(KUBECTL.format(folder=folder, says=says, code=code, where=">&2" if code else ""))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


def test_apply_gives_kubectl_what_would_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_kubectl(folder, monkeypatch, says="rayjob.ray.io/small created", code=0)
    made = manifests(ERRAND, own_cluster())
    assert apply(made) == "rayjob.ray.io/small created\n"
    assert (folder / "arguments").read_text().split() == ["apply", "-f", "-"]
    assert (folder / "stdin").read_text() == made.text()


def test_what_kubectl_complains_of_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_kubectl(folder, monkeypatch, says="no matches for kind RayJob", code=1)
    done = madray(
        "submit",
        "small.yaml",
        "--kubernetes",
        "--store",
        "s3://bucket",
        "--image",
        IMAGE,
        "--apply",
        cwd=folder,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no matches for kind RayJob" in done.stderr


def test_without_kubectl_there_is_another_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="try --output"):
        apply(manifests(ERRAND, own_cluster()))
    with pytest.raises(BadInput, match="kubectl on the PATH"):
        ray_cluster(tmp_path)


def test_the_command_writes_manifests_to_stdout_or_to_a_file(folder: Path) -> None:
    command = ("submit", "small.yaml", "--kubernetes", "--store", "s3://bucket/madray")
    shown = madray(*command, "--image", "mine:2", "--set", "seeds=2", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    config_map, job = yaml.safe_load_all(shown.stdout)
    assert "seeds: 2" in config_map["data"]["sweep.yaml"]
    assert "concurrent: 56" in config_map["data"]["sweep.yaml"]
    assert job["kind"] == "RayJob"
    written = madray(*command, "--image", "mine:2", "--set", "seeds=2", "--output", "job.yaml", cwd=folder)
    assert written.stdout == ""
    assert (folder / "job.yaml").read_text() == shown.stdout


BAD: dict[str, tuple[list[str], str]] = {
    "neither": ([], "expected --kubernetes or --ray-jobs, got neither"),
    "both": (["--kubernetes", "--ray-jobs", "http://x"], "got both"),
    "no image": (
        ["--kubernetes", "--store", "s3://bucket/madray"],
        "try --image registry.example.com/madray:",
    ),
    "no image, nothing written": (
        ["--kubernetes", "--store", "/s", "--output", "job.yaml"],
        "--image: expected the image that you built from cluster/Dockerfile, got madray",
    ),
    "no store": (["--kubernetes"], "--store: expected a URI"),
    "mixed": (["--ray-jobs", "http://x", "--apply"], "expected --kubernetes with them"),
    "no scheme": (["--ray-jobs", "localhost:8265", "--store", "/s"], "try http://127.0.0.1:8265"),
    "nobody there": (["--ray-jobs", "http://127.0.0.1:9", "--store", "/s"], "got no answer"),
    "too much": (
        ["--kubernetes", "--store", "/s", "--set", "resources.gpus=2"],
        "got one of 1 CPUs and 2 GPUs",
    ),
    "no manifest": (
        ["--kubernetes", "--store", "/s", "--cluster", "nowhere"],
        "--cluster: expected a manifest",
    ),
    "not a cluster": (
        ["--kubernetes", "--store", "/s", "--cluster", "small.yaml"],
        "expected one RayCluster",
    ),
    "bad sweep": (["--kubernetes", "--store", "/s", "--set", "theory.d=0"], "theory.d"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_2_and_one_line(folder: Path, case: str) -> None:
    options, told = BAD[case]
    done = madray("submit", "small.yaml", *options, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert told in done.stderr
    assert done.stdout == ""
    assert [each.name for each in folder.iterdir()] == ["small.yaml"]


def test_a_cluster_of_ones_own_needs_an_image_too(tmp_path: Path) -> None:
    cluster = ray_cluster(None)
    cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"] = IMAGE
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(cluster))
    half = ray_cluster(tmp_path / "cluster.yaml")
    with pytest.raises(BadInput, match="--image: expected the image"):
        manifests(ERRAND, half)
    del cluster["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["image"]
    with pytest.raises(BadInput, match="got none"):
        manifests(ERRAND, cluster)
    assert manifests(ERRAND, with_image(half, "madray:local")).job  # as `kind load` puts it on a node


def test_without_a_cluster_all_is_made_in_one_namespace_and_its_help_says_what_has_to_be_there() -> None:
    made = manifests(ERRAND, own_cluster())
    assert {each["metadata"]["namespace"] for each in (made.config_map, made.job)} == {"madray"}
    told = " ".join(madray("submit", "--help", cwd=Path.cwd()).stdout.replace("│", " ").split())
    for word in ("service account", "no keys", "--image is needed"):
        assert word in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda spec: spec.pop("authOptions"), "expected token authentication"),
        (lambda spec: spec.pop("headGroupSpec"), "'headGroupSpec' missing"),
        (lambda spec: spec.update(workerGroupSpecs=[]), "got no workers"),
        (
            lambda spec: spec["workerGroupSpecs"][0]["template"]["spec"].update(containers=[]),
            "each with a container",
        ),
    ],
)
def test_a_cluster_that_cannot_serve_is_refused(tmp_path: Path, change: Any, told: str) -> None:
    cluster = ray_cluster(None)
    change(cluster["spec"])
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(cluster))
    with pytest.raises(BadInput, match=told):
        ray_cluster(tmp_path / "cluster.yaml")
