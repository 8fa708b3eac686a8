"""A strike from its beginning to its verdict: a run is struck, ends, is run again, and is looked at."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from faults.checks import Undisturbed, broken_promises
from faults.kinds import KINDS, Scene, Struck
from faults.moments import wait_for
from faults.places import NotPossibleHere
from faults.schedule import Planned
from faults.world import World

MOST_RUNS = 1 + 3
"""The one that is struck, and those after it."""

Outcome = Literal["whole", "broken", "not possible here"]


@dataclass(frozen=True)
class Verdict:
    """What became of a strike.

    Attributes:
        moment_seconds: after the run's first sign of life; NaN where nothing was struck.
        going_on: what the run was at.
        what: what was struck.
        exit_code: of the run that was struck; None where there was none.
        runs: how many it took until one ended with 0.
        problems: what does not hold, or why the strike cannot be made.
    """

    planned: Planned
    outcome: Outcome
    moment_seconds: float
    going_on: str
    what: str
    exit_code: int | None
    runs: int
    seconds: float
    problems: list[str]


def strike(world: World, planned: Planned, expected: Undisturbed) -> Verdict:
    """Strike once, see it through, and look whether all promises hold.

    The folder of a strike that broke something stays until the world ends.
    """
    name = f"strike{planned.number}-{planned.seed:08x}"
    folder = world.folder / name
    folder.mkdir()
    began = time.monotonic()
    with ExitStack() as room:
        scene = Scene(world, name, folder, planned.chance(), room, expected.size_bytes)
        moment = float("nan")
        going_on, what, code, runs = "", "", None, 0
        problems: list[str] = []
        outcome: Outcome = "whole"
        try:
            with KINDS[planned.kind](scene) as struck:
                campaign = struck.campaign
                driver = campaign.start()
                room.callback(_end, driver)
                alive = campaign.wait_for_life(driver)
                moment = wait_for(planned.moment, expected.course, campaign, driver, alive=alive)
                going_on = "over" if driver.poll() is not None else campaign.going_on()
                what = struck.blow(driver)
                code = campaign.end_of(driver)
            last = code
            again = _is_unfinished(struck, code)
            while again and campaign.runs < MOST_RUNS:
                last = campaign.run()
                again = last != 0
            runs = campaign.runs
            if last != 0:
                problems.append(f"run {runs} ended with {last}: {_last_line(campaign.output)}")
            problems += broken_promises(campaign, expected)
        except NotPossibleHere as error:
            outcome = "not possible here"
            problems.append(str(error))
        except Exception as error:  # whatever it is, it is told, and the next strike has its turn
            problems.append(f"{type(error).__name__}: {error}")
    if outcome == "whole" and problems:
        outcome = "broken"
    if outcome != "broken":
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - began
    return Verdict(planned, outcome, moment, going_on, what, code, runs, seconds, problems)


def _is_unfinished(struck: Struck, code: int) -> bool:
    """Whether the user has a reason to run the command again: it failed, says that something is missing, or the store was struck since."""
    return code != 0 or struck.at_rest or "next run" in struck.campaign.output


def _end(driver: subprocess.Popen[bytes]) -> None:
    if driver.poll() is None:
        driver.kill()
        driver.wait()


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["nothing printed"])[-1][:300]
