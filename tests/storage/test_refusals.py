"""A store that cannot be used is told before work starts: one line, exit code 2, nothing written elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from commands import environment
from pyarrow import fs as pafs
from storage.faulty import s3_server

from madray.store import Store

SWEEP = """
name: small
chain:
  reference: {kind: gaussian, d: 2}
  generator: gaussian
  loop: fully_synthetic
  n_ini: 100
  n_s: 60
  n_eval: 50
  generations: 1
"""

MAY_READ = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}],
}


@pytest.fixture(scope="module")
def reader() -> Iterator[tuple[int, str, str]]:
    """A server that asks for keys, with a bucket: its port, and the keys of somebody who may only read."""
    pytest.importorskip("moto.server", reason="moto[server] speaks S3 here: pip install it")
    with s3_server() as port:
        here = {
            "endpoint_url": f"http://127.0.0.1:{port}",
            "region_name": "us-east-1",
            "aws_access_key_id": "any",
            "aws_secret_access_key": "any",
        }
        boto3.client("s3", **here).create_bucket(Bucket="bucket")
        iam = boto3.client("iam", **here)
        iam.create_user(UserName="reader")
        iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(MAY_READ))
        keys = iam.create_access_key(UserName="reader")["AccessKey"]
        ask_for_keys = urllib.request.Request(
            f"http://127.0.0.1:{port}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(ask_for_keys).close()
        yield port, keys["AccessKeyId"], keys["SecretAccessKey"]


def options(port: int) -> str:
    return f"scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1"


def the_line(store: str, folder: Path, **variables: str) -> str:
    """What `madray sweep` says of a store that it refuses."""
    (folder / "small.yaml").write_text(SWEEP)
    command = [sys.executable, "-m", "madray", "sweep", "small.yaml", "--tracking-uri", "none"]
    told = subprocess.run(
        [*command, "--store", store],
        cwd=folder,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert told.returncode == 2, told.stdout + told.stderr
    assert told.stderr.count("\n") == 1, told.stderr
    assert told.stderr.startswith("madray: --store: expected ")
    assert "; try " in told.stderr
    assert told.stdout == ""
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]
    return told.stderr


def test_a_bucket_that_may_only_be_read(reader: tuple[int, str, str], tmp_path: Path) -> None:
    port, key, secret = reader
    variables = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    told = the_line(f"s3://bucket/store?{options(port)}", tmp_path, **variables)
    assert "to be writable" in told
    assert "ACCESS_DENIED" in told
    assert secret not in told


def test_wrong_keys(reader: tuple[int, str, str], tmp_path: Path) -> None:
    port, key, secret = reader
    began = time.monotonic()
    for variables in (
        {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "wrong" + secret},
        {"AWS_ACCESS_KEY_ID": "AKIANOBODY", "AWS_SECRET_ACCESS_KEY": secret},
    ):
        assert secret not in the_line(f"s3://bucket/store?{options(port)}", tmp_path, **variables)
    assert time.monotonic() - began < 60  # what cannot pass by itself is not tried again for a minute


def test_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("moto.server", reason="moto[server] speaks S3 here: pip install it")
    variables = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hidden"}
    with s3_server() as port:
        told = the_line(f"s3://nobucket/store?{options(port)}", tmp_path, **variables)
    assert "nobucket" in told
    assert "hidden" not in told


@pytest.fixture
def tmpfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A filesystem of another type, in memory."""
    folder = tmp_path_factory.mktemp("mounted")
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root may mount a filesystem")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_filesystem_that_is_mounted_read_only(tmpfs: Path, tmp_path: Path) -> None:
    Store.open(tmpfs / "old").claim()
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    for store in ("old", "new"):
        told = the_line(str(tmpfs / store), tmp_path)
        assert f"expected {tmpfs / store} to be writable" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_only_be_read(tmp_path: Path) -> None:
    store, work = tmp_path / "store", tmp_path / "work"
    work.mkdir()
    store.mkdir()
    store.chmod(0o500)
    assert "to be writable" in the_line(str(store), work)


def test_google_storage_is_understood() -> None:
    store = Store.open("gs://anonymous@bucket/folder?scheme=http&endpoint_override=127.0.0.1:1")
    assert isinstance(store._fs, pafs.GcsFileSystem)
    assert store._root == "bucket/folder"
    assert not store.is_local
