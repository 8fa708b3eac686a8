"""Moments of a run, told by how far it is: machines are busy now and idle then, and a share of seconds would miss."""

from __future__ import annotations

import bisect
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from faults.campaign import FITS, Campaign

_LOOK_SECONDS = 0.03


@dataclass(frozen=True)
class Course:
    """How a run went that nobody disturbed.

    Attributes:
        begins: of each stretch, in seconds after the first sign of life: 0, then when each fit was finished.
        seconds: from the first sign of life to the end.
    """

    begins: Sequence[float]
    seconds: float

    def stretch(self, share: float) -> tuple[int, float]:
        """Which stretch a share of the time falls into, and how many seconds after its beginning.

        >>> Course([0.0, 4.0, 6.0], 10.0).stretch(0.5)
        (1, 1.0)
        """
        at = share * self.seconds
        number = bisect.bisect_right(self.begins, at) - 1
        return number, at - self.begins[number]


def follow(campaign: Campaign, driver: subprocess.Popen[bytes]) -> Course:
    """Watch a run to its end."""
    alive = campaign.wait_for_life(driver)
    begins = [0.0]
    while driver.poll() is None:
        now = time.monotonic() - alive
        begins += [now] * (campaign.fits() + 1 - len(begins))
        time.sleep(_LOOK_SECONDS)
    return Course(begins, time.monotonic() - alive)


def wait_for(
    share: float, course: Course, campaign: Campaign, driver: subprocess.Popen[bytes], *, alive: float
) -> float:
    """Wait until a run is where another was at a share of its time, or over; seconds since it was `alive`."""
    stretch, seconds = course.stretch(share)
    while driver.poll() is None and campaign.fits() < stretch:
        time.sleep(_LOOK_SECONDS)
    reached = time.monotonic()
    # As fast as it was so far: this run may be the faster one, and would be over before its moment comes.
    pace = (reached - alive) / course.begins[stretch] if stretch else 1.0
    until = reached + seconds * min(pace, 1.0)
    # Nor beyond the stretch.
    while (
        driver.poll() is None and time.monotonic() < until and (stretch == FITS or campaign.fits() == stretch)
    ):
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - alive
