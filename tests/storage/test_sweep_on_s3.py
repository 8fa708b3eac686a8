"""A whole sweep on a store in S3: made, looked at from elsewhere meanwhile, tidied, and carried home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import madray, start, wait_for
from pyarrow import fs as pafs
from storage.faulty import s3_server

SWEEP = """
name: far
chain:
  reference: {kind: gaussian, d: 2}
  generator: {kind: "patient_generator:Patient", steps: 20}
  loop: fully_synthetic
  n_ini: 100
  n_s: 60
  n_eval: 50
  generations: 3
grid:
  lambda: [1.0, 0.5]
resources: {checkpoint_seconds: 0.3, concurrent: 1}
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_sweep_on_s3_is_looked_at_while_it_runs_and_carried_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("moto.server", reason="moto[server] speaks S3 here: pip install it")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = tmp_path / "far.yaml"
    file.write_text(SWEEP)
    with s3_server() as port:
        bucket(port)
        store = f"s3://bucket/store?scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1"

        def finished() -> int:
            told = madray("status", "far", "--json", "--store", store, cwd=elsewhere)
            return int(json.loads(told.stdout)["generations"]["finished"]) if told.returncode == 0 else 0

        driver = start("sweep", file, "--store", store, cwd=tmp_path)
        wait_for(lambda: 0 < finished() < 6, driver)
        assert driver.wait(timeout=200) == 0, (tmp_path / "output.txt").read_text()
        assert finished() == 6
        assert "hidden" not in (tmp_path / "output.txt").read_text()

        filesystem(port).open_output_stream("bucket/store/draws/0123/4567/samples.parquet").close()
        listed = madray("gc", "--store", store, "--older-than", "0", cwd=elsewhere).stdout
        assert "draws/0123/4567/samples.parquet" in listed
        assert "1 file, " in listed
        assert madray("gc", "--store", store, "--older-than", "0", "--delete", cwd=elsewhere).returncode == 0
        again = madray("sweep", file, "--store", store, cwd=elsewhere)
        assert "0 fits remain" in again.stdout, again.stdout + again.stderr
        table = madray("table", "far", "--store", store, cwd=elsewhere).stdout
        carried = madray("export", "far", "home", "--store", store, cwd=elsewhere)
        assert carried.returncode == 0, carried.stderr

    assert madray("table", "far", "--store", "home", cwd=elsewhere).stdout == table
    assert madray("import", "home", "--store", "kept", cwd=elsewhere).returncode == 0
    home = madray("sweep", file, "--store", "kept", "--tracking-uri", "none", cwd=elsewhere)
    assert "0 fits remain" in home.stdout, home.stdout + home.stderr
    assert madray("table", "far", "--store", "kept", cwd=elsewhere).stdout == table


def filesystem(port: int) -> pafs.S3FileSystem:
    return pafs.S3FileSystem(
        access_key="key",
        secret_key="hidden",
        region="us-east-1",
        endpoint_override=f"127.0.0.1:{port}",
        scheme="http",
        allow_bucket_creation=True,
    )


def bucket(port: int) -> None:
    filesystem(port).create_dir("bucket")
