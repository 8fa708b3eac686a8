"""The kinds of strikes. Each is a context: it readies what it needs, gives the blow, and in the end undoes it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from commands import environment
from faults.campaign import Campaign
from faults.contents import files_of, put_file
from faults.places import fill, s3_uri, small_disk
from faults.processes import STRIKE, Found, end_group
from faults.world import World, wait_until

Driver = subprocess.Popen[bytes]
Blow = Callable[[Driver], str]
"""Strikes while a driver runs, and says in a few words what was struck."""

_AWAY_SECONDS = 3.0
"""How long MLflow stays away."""


@dataclass(frozen=True)
class Scene:
    """Where a strike takes place.

    Attributes:
        room: ends when the strike is over and all checks are done.
        size_bytes: of an undisturbed store.
    """

    world: World
    name: str
    folder: Path
    chance: random.Random
    room: ExitStack
    size_bytes: int

    def campaign(self, store: str | None = None, seen: str | None = None) -> Campaign:
        """The sweep, on a store in a folder of its own, or on this one."""
        store = store or str(self.folder / "store")
        return Campaign(self.world, self.name, self.folder, store, seen or store)


@dataclass(frozen=True)
class Struck:
    """A strike that is ready.

    Attributes:
        at_rest: whether the blow falls when no run is on, so that another must follow.
    """

    campaign: Campaign
    blow: Blow
    at_rest: bool = False


@contextmanager
def driver(scene: Scene) -> Iterator[Struck]:
    """SIGKILL to the driver."""

    def blow(running: Driver) -> str:
        running.kill()
        return "SIGKILL"

    yield Struck(scene.campaign(), blow)


@contextmanager
def trainer(scene: Scene) -> Iterator[Struck]:
    """SIGKILL to a trainer."""
    campaign = scene.campaign()
    yield Struck(campaign, lambda running: _kill_one(scene, running, campaign.trainers))


@contextmanager
def worker(scene: Scene) -> Iterator[Struck]:
    """SIGKILL to a worker of Ray's that is no trainer: `Tables`, what it reads with, or an idle one."""
    campaign = scene.campaign()

    def others() -> list[Found]:
        return [each for each in campaign.workers() if not each.is_trainer]

    yield Struck(campaign, lambda running: _kill_one(scene, running, others))


@contextmanager
def node(scene: Scene) -> Iterator[Struck]:
    """SIGKILL to the raylet of the second node; a new node comes when the run is over."""
    ray = scene.world.ray

    def blow(running: Driver) -> str:
        ray.kill_second()
        return "raylet"

    try:
        yield Struck(scene.campaign(), blow)
    finally:
        ray.restore()


@contextmanager
def mlflow_server(scene: Scene) -> Iterator[Struck]:
    """SIGKILL to the MLflow server, which comes back a little later at the same address."""
    server = scene.world.mlflow

    def blow(running: Driver) -> str:
        server.kill()
        with suppress(subprocess.TimeoutExpired):
            running.wait(_AWAY_SECONDS)
        server.start()
        return "back after the end" if running.poll() is not None else "back while it ran"

    try:
        yield Struck(scene.campaign(), blow)
    finally:
        server.start()


@contextmanager
def object_store(scene: Scene) -> Iterator[Struck]:
    """Another job fills the object stores of both nodes, and holds what it put there till the run is over."""
    ray = scene.world.ray
    before = ray.spilled_bytes()
    command = [sys.executable, str(Path(__file__).with_name("hog.py")), ray.address]
    with (scene.folder / "hog.txt").open("wb") as log:
        hog = subprocess.Popen(
            command,
            env={**environment(), STRIKE: scene.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    scene.room.callback(end_group, hog.pid)
    orders, answers = hog.stdin, hog.stdout
    assert orders is not None
    assert answers is not None
    assert answers.readline() == "ready\n", (scene.folder / "hog.txt").read_text()

    def blow(running: Driver) -> str:
        orders.write("now\n")
        orders.flush()
        assert answers.readline() == "held\n", (scene.folder / "hog.txt").read_text()
        spilled = ray.spilled_bytes()
        assert spilled > before, "expected Ray to move objects to disk"
        return f"{(spilled - before) >> 20} MiB spilled"

    yield Struck(scene.campaign(), blow)
    orders.close()
    hog.wait(60)


@contextmanager
def full_disk(scene: Scene) -> Iterator[Struck]:
    """The disk of the store is full from the blow on, till the run is over."""
    disk = scene.room.enter_context(small_disk(scene.folder / "disk", 4 * scene.size_bytes))
    filler: list[Path] = []

    def blow(running: Driver) -> str:
        filler.append(fill(disk))
        return f"{filler[0].stat().st_size >> 10} KiB of filler"

    yield Struck(scene.campaign(str(disk / "store")), blow)
    for each in filler:
        each.unlink()


@contextmanager
def failing_store(scene: Scene) -> Iterator[Struck]:
    """Every k-th request to S3 fails from the blow on, till the run is over."""
    proxy = scene.world.s3()
    k = scene.chance.randint(2, 9)

    def blow(running: Driver) -> str:
        proxy.fail_every(k)
        return f"every {k}th"

    store = s3_uri(proxy.server_address[1], scene.name)
    try:
        yield Struck(scene.campaign(store, s3_uri(proxy.upstream, scene.name)), blow)
    finally:
        proxy.fail_every(None)


@contextmanager
def truncated_file(scene: Scene) -> Iterator[Struck]:
    """A file of the store ends early."""

    def damage(data: bytes) -> tuple[bytes, str]:
        left = scene.chance.randrange(len(data))
        return data[:left], f"{left} of {len(data)} B"

    yield _damaged(scene, damage)


@contextmanager
def flipped_bit(scene: Scene) -> Iterator[Struck]:
    """A bit of a file of the store is another."""

    def damage(data: bytes) -> tuple[bytes, str]:
        place = scene.chance.randrange(8 * len(data))
        spoilt = bytearray(data)
        spoilt[place // 8] ^= 1 << place % 8
        return bytes(spoilt), f"bit {place}"

    yield _damaged(scene, damage)


def _damaged(scene: Scene, damage: Callable[[bytes], tuple[bytes, str]]) -> Struck:
    """A store of which a file is spoilt when no run is on, on S3 every third time."""
    on_s3 = scene.chance.random() < 1 / 3
    campaign = scene.campaign(s3_uri(scene.world.s3().upstream, scene.name) if on_s3 else None)
    after_the_end = scene.chance.random() < 0.5

    def blow(running: Driver) -> str:
        if not after_the_end:
            running.kill()
        campaign.end_of(running)
        wait_until(lambda: not campaign.workers(), "all workers to end")
        files = files_of(campaign.seen)
        path = scene.chance.choice(sorted(path for path, data in files.items() if data))
        spoilt, told = damage(files[path])
        put_file(campaign.seen, path, spoilt)
        return f"{'s3: ' * on_s3}{path.partition('/')[0]}/…/{path.rpartition('/')[2][:14]}, {told}"

    return Struck(campaign, blow, at_rest=True)


def _kill_one(scene: Scene, running: Driver, found: Callable[[], list[Found]]) -> str:
    """SIGKILL to one of those that are found, as soon as there is one."""
    while running.poll() is None:
        if victims := found():
            victim = scene.chance.choice(sorted(victims, key=lambda each: each.pid))
            with suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
                return victim.title[:40]
        time.sleep(0.02)
    return "there was none"


KINDS: Mapping[str, Callable[[Scene], AbstractContextManager[Struck]]] = {
    "driver": driver,
    "trainer": trainer,
    "worker": worker,
    "node": node,
    "MLflow server": mlflow_server,
    "object store": object_store,
    "full disk": full_disk,
    "failing store": failing_store,
    "truncated file": truncated_file,
    "flipped bit": flipped_bit,
}
