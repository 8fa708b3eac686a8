"""What is refused before it goes to a cluster."""

from __future__ import annotations

import pytest

from madray.errors import BadInput
from madray.submit import Errand


@pytest.mark.parametrize("store", ["", "madray-store", "./store"])
def test_a_store_that_a_cluster_cannot_know_is_refused(store: str) -> None:
    with pytest.raises(
        BadInput, match="--store: expected a URI, or an absolute path that every node reaches"
    ):
        Errand("small", "name: small", store)


def test_a_password_is_refused_and_not_said_again() -> None:
    for store, tracking_uri in (
        ("s3://key:hidden@bucket/madray", None),
        ("s3://bucket/madray", "http://me:hidden@mlflow:5000"),
    ):
        with pytest.raises(BadInput, match="without a password") as refused:
            Errand("small", "name: small", store, tracking_uri)
        assert "hidden" not in str(refused.value)


def test_settings_become_the_variables_that_madray_sweep_reads() -> None:
    errand = Errand("small", "name: small", "/store/madray", "none", "/data", "2/3")
    assert errand.variables() == {
        "MADRAY_STORE": "/store/madray",
        "MLFLOW_TRACKING_URI": "none",
        "MADRAY_DATA": "/data",
        "MADRAY_SHARD": "2/3",
    }
    with pytest.raises(BadInput, match="--shard: expected i/n"):
        Errand("small", "name: small", "/store/madray", shard="3/2")
