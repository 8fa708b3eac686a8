"""Secrets of the environment and of URIs are in nothing that a sweep leaves, nor in what it keeps while it runs."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import environment, wait_for
from pyarrow import fs as pafs
from storage.faulty import s3_server

SWEEP = """
name: open
chain:
  reference: digits
  generator: {kind: "patient_generator:Patient", steps: 10, pause: 0.1}
  loop: fully_synthetic
  n_ini: 100
  n_s: 60
  n_eval: 50
  generations: 2
resources: {concurrent: 1}
"""

VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MY_API_TOKEN",
    "RAY_AUTH_TOKEN",
)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: Ray's sockets lie below it, and theirs may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_no_secret_is_in_anything_that_a_sweep_writes(tmp_path: Path, short: Path) -> None:
    pytest.importorskip("moto.server", reason="moto[server] speaks S3 here: pip install it")
    planted = {name: secrets.token_hex(32) for name in (*VARIABLES, "password of the store")}
    (tmp_path / "open.yaml").write_text(SWEEP)
    (short / "tmp").mkdir()
    with s3_server() as port:
        options = f"scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1"
        key = f"key:{planted['password of the store']}"
        bucket, _ = pafs.FileSystem.from_uri(f"s3://{key}@bucket?{options}&allow_bucket_creation=true")
        bucket.create_dir("bucket")
        store = f"s3://{key}@bucket/store?{options}"
        driver = sweep(tmp_path, short, store, {name: planted[name] for name in VARIABLES})
        tune = short / "tmp"
        wait_for(lambda: bool(list(tune.glob("madray-tune-*/sweep/tuner.pkl"))), driver)
        # It goes with the driver, so that it is looked at as it is now.
        shutil.copytree(next(tune.glob("madray-tune-*")), tmp_path / "tune")
        assert driver.wait(200) == 0, (tmp_path / "output.txt").read_text()
        pafs.copy_files("bucket/store", str(tmp_path / "store"), bucket)
    (tmp_path / "output").mkdir()
    (tmp_path / "output.txt").rename(tmp_path / "output" / "output.txt")

    places = {name: tmp_path / name for name in ("store", "mlflow", "output", "tune")}
    places["ray"] = next((short / "ray").glob("session_2*"))
    # What is looked through is there: each place has what a sweep leaves in it.
    assert "open" in found(places["store"], {"open": "name: open"})
    assert "open" in found(places["mlflow"], {"open": "patient_generator:Patient"})
    assert "open" in found(places["output"], {"open": "open: "})
    assert list(places["tune"].rglob("tuner.pkl"))
    assert list(places["ray"].rglob("gcs_server*"))
    for name, folder in places.items():
        assert found(folder, planted) == {}, name
        (folder / "planted").write_bytes(b"\x00\xff" + "".join(planted.values()).encode() + b"\x00")
        assert found(folder, planted).keys() == planted.keys(), name


def sweep(folder: Path, short: Path, store: str, variables: dict[str, str]) -> subprocess.Popen[str]:
    """A sweep with MLflow and a Ray of its own, whose temporary files lie in `short`."""
    (folder / "mlflow").mkdir()
    tracking = f"sqlite:///{folder}/mlflow/mlflow.db"
    command = [sys.executable, "-m", "madray", "sweep", "open.yaml", "--store", store]
    places = {"TMPDIR": str(short / "tmp"), "RAY_TMPDIR": str(short), "HOME": str(short)}
    kept = {name: value for name, value in environment().items() if not name.startswith("RAY_AUTH")}
    with (folder / "output.txt").open("w") as output:
        return subprocess.Popen(
            [*command, "--tracking-uri", tracking],
            cwd=folder,
            env={**kept, **places, **variables},
            text=True,
            stdout=output,
            stderr=output,
        )


def found(folder: Path, wanted: dict[str, str]) -> dict[str, list[str]]:
    """Of these texts those that stand in a file below a folder or in a file's name, and where."""
    where: dict[str, list[str]] = {}
    for root, folders, names in os.walk(folder):
        for path in (Path(root) / name for name in [*folders, *names]):
            whole = path.is_file() and not path.is_symlink()
            content = str(path).encode() + (path.read_bytes() if whole else b"")
            for name, text in wanted.items():
                if text.encode() in content:
                    where.setdefault(name, []).append(str(path))
    return where
