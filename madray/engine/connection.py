"""The connection to a Ray cluster: a local one for as long as a sweep takes, or one that is there already."""

from __future__ import annotations

import gc
import logging
import os
import re
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray._private import services
from ray.tune.execution import class_cache

from madray.engine.stopping import handlers_kept
from madray.engine.threads import thread_variables
from madray.errors import BadInput, MadrayError
from madray.spec.sweep import Resources

_LISTENS_SECONDS = 5.0
"""How long an address may be without anybody who listens: a head may be starting again."""

_RAYS_OWN = re.compile(rb"\[\d{4}-\d\d-\d\d [\d:,]+ [IWE] \d+ \d+\] ")
"""How a line of Ray's C++ side begins."""


@contextmanager
def connected(address: str | None, resources: Resources) -> Iterator[None]:
    """A connection to the cluster at an address, or to a local one that ends with it.

    A local Ray answers only to who has its token, and has no dashboard. The token of another comes from where
    Ray looks for it: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token, with RAY_AUTH_MODE=token.

    Raises: BadInput, if nothing answers at the address, the token is wrong, or Ray or Python are of other
        versions there; MadrayError, if a local Ray does not start, which it may do later.
    """
    _keep_keys_from_logs()
    if ray.is_initialized():
        yield
        return
    variables = thread_variables(resources.threads)
    local = is_local(address)
    if local:
        # Workers import what the driver can: a module beside the sweep file, for one.
        path = [os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        variables["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
        _ask_for_a_token()
    elif address is not None:
        _refuse_where_nobody_listens(address)
    try:
        with _in_a_group_of_its_own() if local else _without_rays_own_lines(), handlers_kept():
            ray.init(
                address=address or "local",
                include_dashboard=False if local else None,
                configure_logging=True,
                logging_level=logging.ERROR,
                log_to_driver=False,
                runtime_env={"env_vars": variables},
            )
    except Exception as error:  # Ray raises what it likes, a plain Exception where a node is slow to start
        raise refusal(None if local else address, error) from None
    try:
        yield
    finally:
        # Tune leaves cycles that hold actors and objects. Collected during or after Ray's end, perhaps by
        # the thread that writes to MLflow, they would end this process with it.
        gc.collect()
        ray.shutdown()


def is_local(address: str | None) -> bool:
    """Whether a Ray is started for as long as the sweep takes."""
    return address in (None, "local")


def refusal(address: str | None, error: BaseException) -> MadrayError:
    """What a user can do about a connection that failed, in one line.

    Args:
        address: of the cluster; None for a local one.
        error: what Ray raised.
    """
    told = _told(error)
    if address is None:
        return MadrayError(
            f"expected a local Ray to start, got: {_first_sentence(told)}; try again when the machine is "
            "less busy, or --address for a cluster that runs"
        )
    if "AuthenticationError" in told or "InvalidAuthToken" in told:
        return BadInput(
            f"--address: expected the token of the Ray cluster at {address}, got another or none; "
            "try RAY_AUTH_MODE=token with RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        )
    versions = re.search(r"Ray: (\S+) Python: (\S+) .*Ray: (\S+) Python: (\S+)", told)
    if "Version mismatch" in told and versions is not None:
        ray_there, python_there, ray_here, python_here = versions.groups()
        return BadInput(
            f"--address: expected a cluster of Ray {ray_here} and Python {python_here}, as here, "
            f"got Ray {ray_there} and Python {python_there} at {address}; "
            "try an environment with the versions of the cluster"
        )
    return BadInput(
        f"--address: expected a Ray cluster at {address}, got: {_first_sentence(told)}; "
        "try the address that `ray start --head` printed, from a machine that reaches it"
    )


def _keep_keys_from_logs() -> None:
    """Tune hands AWS_SECRET_ACCESS_KEY and its like of the driver to trials as part of their runtime
    environment, which Ray writes into the log of each node. Workers have the keys of their own node."""
    propagated = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in propagated if not name.startswith("AWS_")}


def _ask_for_a_token() -> None:
    """Let the Ray that is about to start ask for a token, whatever RAY_AUTH_MODE says.

    Ray asks by itself where nothing is said (from 2.59 on). A mode that is set here, after Ray was imported,
    would reach its servers and not this process. Where there is no token yet, Ray would write one to a file
    that all users of the machine may read: ours is in memory alone.
    """
    os.environ.pop("RAY_AUTH_MODE", None)
    if "RAY_AUTH_TOKEN_PATH" not in os.environ and not (Path.home() / ".ray" / "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _refuse_where_nobody_listens(address: str) -> None:
    """Ray would try for 20 s, and say so each second.

    Raises: BadInput, if nobody listens at `host:port` within some seconds.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # "auto", for one
    end = time.monotonic() + _LISTENS_SECONDS
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_LISTENS_SECONDS).close()
            return
        except (OSError, OverflowError) as error:
            never = isinstance(error, socket.gaierror | OverflowError)
            if never or time.monotonic() + 0.5 > end:
                raise refusal(address, error) from None
        time.sleep(0.5)


@contextmanager
def _in_a_group_of_its_own() -> Iterator[None]:
    """Ray's servers that start in here have a process group of their own.

    A signal to the driver's group, such as `timeout` and many supervisors send, then reaches the driver
    alone, which ends its Ray when fits have left their checkpoints. Ray has no setting for it; that its
    servers die with the driver, however it dies, is not a matter of groups.
    """
    popen = services.ConsolePopen
    services.ConsolePopen = partial(popen, process_group=0)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        services.ConsolePopen = popen  # type: ignore[misc]


@contextmanager
def _without_rays_own_lines() -> Iterator[None]:
    """Ray's C++ side writes a line a second past Python's logging while it is refused, and what is wrong is
    raised as well. What others write to the standard error meanwhile comes out afterwards."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            kept.seek(0)
            for line in kept:
                if _RAYS_OWN.match(line) is None:
                    os.write(2, line)


def _told(error: BaseException | None) -> str:
    """What an error says, and what those say that it comes from, in one line."""
    texts = []
    while error is not None:
        texts.append(" ".join(str(error).split()) or type(error).__name__)
        if isinstance(error, ray.exceptions.AuthenticationError):
            texts.append("AuthenticationError")
        error = error.__cause__
    return ". ".join(texts)


def _first_sentence(told: str, longest: int = 200) -> str:
    """What happened; the other sentences are of Ray's own settings.

    >>> _first_sentence("It timed out. Set RAY_x to wait for longer.")
    'It timed out'
    """
    return told.split(". ")[0].rstrip(".")[:longest]
