"""One sweep on one store, run again as often as need be by the same command."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from commands import PLUGINS, environment
from faults.processes import STRIKE, Found, workers
from faults.world import World
from typer.testing import CliRunner

from madray.cli import app
from madray.errors import MadrayError
from madray.store import Store

SWEEP = """
chain:
  reference: digits
  generator: {kind: "patient_generator:Patient", steps: 8, pause: 0.05}
  loop: fully_synthetic
  n_ini: 250
  n_r: 120
  n_s: 250
  n_eval: 150
  generations: 3
  metrics: [fid, variance]
grid:
  loop: [fresh_data, fully_synthetic]
  lambda: [1.0, 0.5]
keep: last
resources: {checkpoint_seconds: 0.1, max_failures: 10}
"""
"""Nine fits, of which four chains share one and two another two; each leaves checkpoints and pictures."""
FITS = 9
CHAINS = 4
PARAMETERS = ("loop", "lambda", "seed")
"""What tells the chains apart, in the table and in MLflow."""

_RUN_SECONDS = 300.0


@dataclass
class Campaign:
    """A sweep of a name of its own, so that one MLflow server can hold many.

    Attributes:
        folder: where its commands run; their output and the sweep file lie there.
        uri: its store, as its commands know it.
        seen: the same store, as it is looked at from here: past a proxy that fails.
    """

    world: World
    name: str
    folder: Path
    uri: str
    seen: str
    runs: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(f"name: {self.name}\n{SWEEP}")

    @property
    def file(self) -> Path:
        return self.folder / "sweep.yaml"

    @property
    def output(self) -> str:
        """What the newest run printed."""
        return (self.folder / f"run{self.runs}.txt").read_text()

    def store(self) -> Store:
        """Its store, looked at anew."""
        return Store.open(self.seen)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command. What it prints goes to a file."""
        self.runs += 1
        command = [sys.executable, "-m", "madray", "sweep", str(self.file), "--store", self.uri]
        command += ["--address", self.world.ray.address, "--tracking-uri", self.world.mlflow.uri]
        with (self.folder / f"run{self.runs}.txt").open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**environment(), STRIKE: self.name},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self) -> int:
        """Run the command to its end; its exit code."""
        driver = self.start()
        return self.end_of(driver)

    def end_of(self, driver: subprocess.Popen[bytes]) -> int:
        """Wait for a run; its exit code. AssertionError if it does not end."""
        try:
            return driver.wait(_RUN_SECONDS)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
            raise AssertionError(f"run {self.runs} did not end within {_RUN_SECONDS:g} s") from None

    def wait_for_life(self, driver: subprocess.Popen[bytes]) -> float:
        """Wait until a run has claimed its store, or is over; when that was."""
        while driver.poll() is None:
            with suppress(OSError, MadrayError):
                self.store().get("madray.json")
                break
            time.sleep(0.02)
        return time.monotonic()

    def fits(self) -> int:
        """How many fits are finished."""
        try:
            files = self.store().files("generations")
        except (OSError, MadrayError):  # a folder went while it was listed
            return 0
        return sum(file.path.endswith("/done.json") for file in files)

    def going_on(self) -> str:
        """What a run is at, in a few words."""
        trainers = len(self.trainers())
        return f"{self.fits()}/{FITS} fits, {trainers} trainer{'s' * (trainers != 1)}"

    def workers(self) -> list[Found]:
        """Ray's workers that serve it: nobody else has a job in the cluster."""
        return workers(self.world.mark)

    def trainers(self) -> list[Found]:
        return [each for each in self.workers() if each.is_trainer]

    def madray(self, *arguments: object) -> str:
        """What another command prints, run in this process.

        Raises: AssertionError, if it fails.
        """
        if str(PLUGINS) not in sys.path:
            sys.path.insert(0, str(PLUGINS))
        told = CliRunner().invoke(app, [*map(str, arguments), "--store", self.seen])
        assert told.exit_code == 0, f"madray {arguments[0]} failed: {told.exception or told.output}"
        return told.stdout

    def table(self) -> str:
        return self.madray("table", self.name)

    def outlook(self) -> str:
        """What a dry run says is left to do, without the sweep's name."""
        told = self.madray("sweep", self.file, "--dry-run").splitlines()
        [line] = [line for line in told if line.startswith(f"{self.name}: ")]
        return line.removeprefix(f"{self.name}: ")
