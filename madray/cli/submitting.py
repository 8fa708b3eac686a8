"""`madray submit`: send a sweep to a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from madray.cli.options import SetOption, ShardOption
from madray.errors import BadInput

if TYPE_CHECKING:
    from madray.submit import Manifests


def submit(
    file: Annotated[Path, typer.Argument(help="The sweep file (YAML).")],
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="As a RayJob of KubeRay's; writes its manifests.")
    ] = False,
    ray_jobs: Annotated[
        str | None,
        typer.Option(
            "--ray-jobs", metavar="ADDRESS", help="As a job of the Ray cluster with this dashboard."
        ),
    ] = None,
    store: Annotated[
        str, typer.Option("--store", help="A URI, or a folder that is the same on all nodes.")
    ] = "",
    tracking_uri: Annotated[
        str | None,
        typer.Option("--tracking-uri", help="MLflow as the cluster sees it; `none` for no MLflow."),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="The folder of data sets where the driver runs.")
    ] = None,
    shard: ShardOption = None,
    set_: SetOption = None,
    cluster: Annotated[
        Path | None,
        typer.Option(
            "--cluster",
            help="The RayCluster to make: a manifest, or a folder for kustomize. Without it, madray's own: "
            "namespace and service account `madray` have to be there, it has no keys to a store, "
            "and --image is needed.",
        ),
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="The image of the cluster's nodes, as they pull it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the manifests to a file; to stdout without.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the manifests through kubectl.")] = False,
) -> None:
    """Send the sweep in FILE to a cluster. Do it again at any time: only what is missing is made."""
    from madray import submit as submit_
    from madray.spec.reading import read_sweep

    if kubernetes == (ray_jobs is not None):
        raise BadInput(f"expected --kubernetes or --ray-jobs, got {'both' if kubernetes else 'neither'}")
    if ray_jobs is None:
        target = submit_.ray_cluster(cluster)
        if image is not None:
            target = submit_.with_image(target, image)
        read = submit_.fill_cluster(file, set_ or [], target)
        errand = submit_.Errand(read.sweep.name, read.text, store, tracking_uri, data, shard)
        _submit_to_kubernetes(submit_.manifests(errand, target), output, apply)
        return
    if cluster or image or output or apply:
        raise BadInput(
            "--cluster, --image, --output, --apply: expected --kubernetes with them, got --ray-jobs"
        )
    read = read_sweep(file, set_ or ())
    errand = submit_.Errand(read.sweep.name, read.text, store, tracking_uri, data, shard)
    job = submit_.submit_to_ray(ray_jobs, errand)
    print(f"submitted {job}; follow it with: ray job logs --follow --address {ray_jobs} {job}")


def _submit_to_kubernetes(made: Manifests, output: Path | None, apply: bool) -> None:
    from madray import submit as submit_

    if output is not None:
        try:
            output.write_text(made.text(), "utf-8")
        except OSError as error:
            raise BadInput(f"--output: expected a file that can be written, got {error}") from None
    if apply:
        print(submit_.apply(made), end="")
        print(f"follow it with: kubectl get rayjob {made.name} --watch")
    elif output is None:
        print(made.text(), end="")
