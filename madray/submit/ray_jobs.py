"""A sweep as a job of a Ray cluster that is running, by Ray's own job API."""

from __future__ import annotations

import logging
import os
import shlex
import tempfile
from pathlib import Path

from madray.errors import BadInput
from madray.submit.errand import Errand

_FILE = "sweep.yaml"
_OPTIONS = {
    "MADRAY_STORE": "--store",
    "MLFLOW_TRACKING_URI": "--tracking-uri",
    "MADRAY_DATA": "--data",
    "MADRAY_SHARD": "--shard",
}


def submit_to_ray(address: str, errand: Errand) -> str:
    """Submit a sweep to the cluster whose dashboard is at an address, as a job; returns the job's id.

    The sweep file travels with the job. The token comes from where Ray looks for it: RAY_AUTH_TOKEN,
    RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token, with RAY_AUTH_MODE=token.

    Raises: BadInput, if nothing answers there, the token is wrong, or the cluster refuses the job.
    """
    if not address.startswith(("http://", "https://")):
        raise BadInput(
            f"--ray-jobs: expected the address of a Ray dashboard, got {address}; try http://127.0.0.1:8265"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would take them for the address, whatever it is told.
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        os.environ.pop(name, None)
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.WARNING)
    try:
        client = JobSubmissionClient(address)
        with tempfile.TemporaryDirectory(prefix="madray-job-") as folder:
            Path(folder, _FILE).write_text(errand.text, "utf-8")
            job: str = client.submit_job(
                entrypoint=entrypoint(errand),
                runtime_env={"working_dir": folder},
                metadata={"sweep": errand.name},
            )
            return job
    except ConnectionError:
        raise BadInput(
            f"--ray-jobs: expected a Ray dashboard at {address}, got no answer; "
            "is it there, and forwarded to this machine?"
        ) from None
    except AuthenticationError as error:
        raise BadInput(
            f"--ray-jobs: expected the token of the cluster at {address}, got {_first_line(error)}; "
            "try RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        ) from None
    except RuntimeError as error:
        raise BadInput(f"--ray-jobs: expected {address} to take the job, got {_first_line(error)}") from None


def entrypoint(errand: Errand) -> str:
    """What the cluster runs, in a folder that holds the sweep file.

    >>> entrypoint(Errand("mnist", "name: mnist", "s3://bucket/madray?region=eu-north-1"))
    "madray sweep sweep.yaml --store 's3://bucket/madray?region=eu-north-1'"
    """
    options = [word for name, value in errand.variables().items() for word in (_OPTIONS[name], value)]
    return shlex.join(["madray", "sweep", _FILE, *options])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
