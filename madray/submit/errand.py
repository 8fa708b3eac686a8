"""What a cluster is asked to do: a sweep, and where its store, its MLflow and its data are."""

from __future__ import annotations

from dataclasses import dataclass

from madray.engine.shards import Shard
from madray.errors import BadInput
from madray.files import without_secret
from madray.tracking.uris import without_secrets


@dataclass(frozen=True)
class Errand:
    """A sweep on its way to a cluster.

    Attributes:
        name: of the sweep.
        text: the sweep file, with overrides applied.
        store: a URI, or a path that is the same on all nodes.
        tracking_uri: of MLflow; `none` for no MLflow, None for what the cluster says itself.
        data: the folder of data sets on the node that the driver runs on.
        shard: which part of the sweep it is to make, as `i/n`; all of it where None.

    Raises: BadInput, if a cluster could make nothing of it, or a secret would be written down for all to see.

    >>> Errand("mnist", "name: mnist", "s3://bucket/madray").variables()
    {'MADRAY_STORE': 's3://bucket/madray'}
    """

    name: str
    text: str
    store: str
    tracking_uri: str | None = None
    data: str | None = None
    shard: str | None = None

    def __post_init__(self) -> None:
        if self.shard is not None:
            Shard.parse(self.shard)
        if "://" not in self.store and not self.store.startswith("/"):
            raise BadInput(
                "--store: expected a URI, or an absolute path that every node reaches, "
                f"got {self.store or 'nothing'}; try --store s3://bucket/folder"
            )
        if without_secret(self.store) != self.store:
            raise BadInput(
                f"--store: expected a URI without a password, got {without_secret(self.store)}; "
                "give the keys to the cluster, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        uri = self.tracking_uri or ""
        if without_secrets(uri, uri) != uri:
            raise BadInput(
                f"--tracking-uri: expected a URI without a password, got {without_secrets(uri, uri)}; "
                "give it to the cluster, as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )

    def variables(self) -> dict[str, str]:
        """The environment in which `madray sweep FILE` needs no options."""
        told = {
            "MADRAY_STORE": self.store,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MADRAY_DATA": self.data,
            "MADRAY_SHARD": self.shard,
        }
        return {name: value for name, value in told.items() if value is not None}
