"""A store in Google's Cloud Storage: a server that speaks its protocol, and the client that everyone uses."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_sweeps import all_files, make, table_of

from madray.errors import Missing
from madray.garbage import collect, find_garbage
from madray.ledger import Ledger
from madray.store import Store
from madray.transfer import copy_sweep


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of an empty folder of a bucket, without its last part."""
    pytest.importorskip("gcp_storage_emulator", reason="pip install gcp-storage-emulator")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}"]
    command += ["--in-memory", "--default-bucket=bucket"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "the server ended by itself"
            time.sleep(0.1)
        yield f"gs://anonymous@bucket/{{}}?scheme=http&endpoint_override=127.0.0.1%3A{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_artifacts_come_and_go(bucket: str) -> None:
    store = Store.open(bucket.format("artifacts"))
    store.claim()
    store.claim()
    store.commit("draws", "k", {"a.json": b"one", "b.json": b"two"})
    assert store.has("draws", "k", "a.json", "b.json")
    assert store.read("draws", "k") == {"a.json": b"one", "b.json": b"two"}
    store.replace("draws", "k", {"a.json": b"three"})
    assert store.read("draws", "k") == {"a.json": b"three"}
    assert len(store.files("draws")) == 2
    assert store.names("draws") == ["k"]
    store.delete("draws", "k")
    with pytest.raises(Missing):
        store.read("draws", "k")
    assert store.files("draws") == []
    assert store.notes == []


def test_a_sweep_is_made_tidied_and_carried_home(bucket: str, tmp_path: Path) -> None:
    far, home = Store.open(bucket.format("sweep")), Store.open(tmp_path)
    make(far, "far")
    before = all_files(far)
    far.put("draws/0123/4567/samples.parquet", b"half")
    found = find_garbage(far, older_than_hours=0)
    assert [file.path for file in found.files] == ["draws/0123/4567/samples.parquet"]
    collect(far, found)
    assert all_files(far) == before
    copy_sweep(far, home, "far", told=lambda done, total: None)
    assert table_of(home, "far") == table_of(far, "far")
    assert Ledger(home, "far").record() == Ledger(far, "far").record()
