"""What a store on S3 does when S3 answers badly: it asks again, and in the end says so in one line."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator

import pytest
from pyarrow import fs as pafs
from storage.faulty import Fault, Proxy, proxy_before, s3_server

from madray.errors import BadInput
from madray.filesystems import Patience
from madray.store import Store

DATA = os.urandom(100_000)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    pytest.importorskip("moto.server", reason="moto[server] speaks S3 here: pip install it")
    with s3_server() as port, proxy_before(port, Proxy) as made:
        filesystem(made).create_dir("bucket")
        yield made


def filesystem(proxy: Proxy) -> pafs.S3FileSystem:
    return pafs.S3FileSystem(
        access_key="key",
        secret_key="hidden",
        region="us-east-1",
        endpoint_override=f"127.0.0.1:{proxy.server_address[1]}",
        scheme="http",
        allow_bucket_creation=True,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=1),
    )


def store_of(proxy: Proxy, *, total_s: float) -> Store:
    """A new store whose client tries once, so that what is tried again is tried by the store."""
    root = f"bucket/{uuid.uuid4().hex}"
    patience = Patience(first_s=0.01, longest_s=0.02, total_s=total_s)
    return Store(filesystem(proxy), root, f"s3://key:hidden@{root}", patience=patience)


@pytest.mark.parametrize("fault", ["503", "reset", "truncated", "slow"])
def test_a_bad_answer_to_a_read_is_asked_again(proxy: Proxy, fault: Fault) -> None:
    store = store_of(proxy, total_s=30)
    store.commit("draws", "k", {"samples.parquet": DATA})
    proxy.strike(fault, "GET", 2 if fault == "slow" else 5)
    assert store.read("draws", "k") == {"samples.parquet": DATA}
    assert proxy.met >= 2
    assert store.notes == []


@pytest.mark.parametrize("fault", ["503", "reset"])
def test_a_bad_answer_to_a_write_is_asked_again(proxy: Proxy, fault: Fault) -> None:
    store = store_of(proxy, total_s=30)
    proxy.strike(fault, "PUT", 5)
    store.commit("draws", "k", {"samples.parquet": DATA})
    assert proxy.met == 5
    assert store.read("draws", "k") == {"samples.parquet": DATA}


@pytest.mark.parametrize("fault", ["503", "reset"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_bad_answers_without_end_end_in_one_clear_line(proxy: Proxy, fault: Fault, method: str) -> None:
    store = store_of(proxy, total_s=0.3)
    store.put("draws/a", DATA)
    proxy.strike(fault, method, 10**6)
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"--store: expected s3://key:…@bucket/\w+ to .*; try ") as found:
        store.get("draws/a") if method == "GET" else store.put("draws/b", DATA)
    assert time.monotonic() - began < 5
    assert proxy.met >= 2
    assert "\n" not in str(found.value)
    assert "hidden" not in str(found.value)
    proxy.strike(fault, method, 0)
    assert store.names("draws") == ["a"]
    assert store.get("draws/a") == DATA


@pytest.mark.parametrize("fault", ["503", "reset"])
def test_a_bad_answer_to_a_deletion_is_asked_again(proxy: Proxy, fault: Fault) -> None:
    store = store_of(proxy, total_s=30)
    store.commit("draws", "k", {"samples.parquet": DATA})
    proxy.strike(fault, "DELETE", 5)
    store.forget("draws", "k")
    assert proxy.met == 5
    assert not store.has("draws", "k")


def test_a_deletion_that_meets_bad_answers_without_end_is_one_clear_line(proxy: Proxy) -> None:
    store = store_of(proxy, total_s=0.05)
    store.commit("draws", "k", {"samples.parquet": DATA})
    proxy.strike("503", "DELETE", 10**6)
    with pytest.raises(BadInput, match=r"--store: expected s3://key:…@bucket/\w+ to answer") as found:
        store.forget("draws", "k")
    proxy.strike("503", "DELETE", 0)
    assert "\n" not in str(found.value)
    assert store.read("draws", "k") == {"samples.parquet": DATA}


def test_a_write_that_fails_leaves_no_artifact(proxy: Proxy) -> None:
    store = store_of(proxy, total_s=0.05)
    proxy.strike("503", "PUT", 10**6)
    with pytest.raises(BadInput):
        store.commit("draws", "k", {"samples.parquet": DATA})
    proxy.strike("503", "PUT", 0)
    assert not store.has("draws", "k")
    store.commit("draws", "k", {"samples.parquet": DATA})
    assert store.read("draws", "k") == {"samples.parquet": DATA}


def test_an_address_where_nobody_listens_is_told_in_one_line() -> None:
    uri = "s3://key:hidden@bucket/x?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"
    opened = Store.open(uri)
    store = Store(opened._fs, opened._root, uri, patience=Patience(total_s=0))
    with pytest.raises(BadInput, match=r"127\.0\.0\.1:1.* to answer, got .*; try ") as found:
        store.get("madray.json")
    assert "\n" not in str(found.value)
    assert "hidden" not in str(found.value)
