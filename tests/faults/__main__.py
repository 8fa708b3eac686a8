"""`python -m faults`, from the folder of the tests: strikes at a sweep at random moments, and tells what came of it.

The exit code is 1 when a promise was broken; what the strike left stays for a look, and its folder is told.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from faults.checks import undisturbed
from faults.kinds import KINDS
from faults.schedule import deal
from faults.strikes import strike
from faults.told import counts, heading, line
from faults.world import world


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--strikes", type=int, default=25, help="how many (default: 25)")
    parser.add_argument("--seed", type=int, default=0, help="of the schedule (default: 0)")
    parser.add_argument("--from", dest="first", type=int, default=1, help="begin with this one of them")
    parser.add_argument("--kind", choices=sorted(KINDS), help="only those of this kind")
    arguments = parser.parse_args()
    planned = [
        each
        for each in deal(arguments.strikes, seed=arguments.seed)
        if each.number >= arguments.first and arguments.kind in (None, each.kind)
    ]
    began = time.monotonic()
    verdicts = []
    with world() as place:
        # Who is told to leave, leaves nothing behind. Ray has set a handler of its own by now.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        expected = undisturbed(place)
        print(f"undisturbed: {expected.course.seconds:.1f} s; strikes of seed {arguments.seed}")
        print(heading(), flush=True)
        for each in planned:
            verdicts.append(strike(place, each, expected))
            print(line(verdicts[-1]), flush=True)
        broken = [verdict for verdict in verdicts if verdict.outcome == "broken"]
        if broken:
            kept = Path(tempfile.mkdtemp(prefix="faults-broken-"))
            for folder in place.folder.glob("strike*"):
                shutil.copytree(folder, kept / folder.name, symlinks=True)
            print(f"what broken strikes left: {kept}")
    print(f"{counts(verdicts)} in {(time.monotonic() - began) / 60:.0f} min")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
