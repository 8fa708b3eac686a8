"""Where a strike's store lies: in a folder, on a small disk of its own, on S3."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from pyarrow import fs as pafs

BUCKET = "faults"


class NotPossibleHere(Exception):
    """This machine does not allow such a strike."""


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system in memory of so many bytes, mounted for as long as this lasts.

    Raises: NotPossibleHere, where nobody may mount one.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "faults", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotPossibleHere("there is no mount command") from None
    if done.returncode != 0:
        raise NotPossibleHere(done.stderr.strip().splitlines()[-1] if done.stderr else "mount failed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file that takes all the room that is left; returns it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(block))
            except OSError:
                continue
    return filler


def s3_uri(port: int, name: str) -> str:
    """A folder of the bucket, by way of a port of this machine."""
    query = f"scheme=http&endpoint_override={quote(f'127.0.0.1:{port}', safe='')}&region=us-east-1"
    return f"s3://key:hidden@{BUCKET}/{name}?{query}"


def make_bucket(port: int) -> None:
    """Make the bucket on a server that speaks S3."""
    pafs.S3FileSystem(
        access_key="key",
        secret_key="hidden",
        region="us-east-1",
        endpoint_override=f"127.0.0.1:{port}",
        scheme="http",
        allow_bucket_creation=True,
    ).create_dir(BUCKET)
