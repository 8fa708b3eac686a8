"""`python -m faults`, from the folder of the tests: strikes at a sweep at random moments, and tells what came of it.

The exit code is 1 when a promise was broken; what the strike left stays for a look, and its folder is told.
"""

from __future__ import annotations

import argparse
import sys
import time

from faults.kinds import KINDS
from faults.schedule import deal
from faults.side_by_side import struck
from faults.told import counts, heading, line


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--strikes", type=int, default=25, help="how many (default: 25)")
    parser.add_argument("--seed", type=int, default=0, help="of the schedule (default: 0)")
    parser.add_argument("--from", dest="first", type=int, default=1, help="begin with this one of them")
    parser.add_argument("--kind", choices=sorted(KINDS), help="only those of this kind")
    parser.add_argument(
        "--worlds", type=int, default=1, help="how many at a time, each in a cluster of its own"
    )
    arguments = parser.parse_args()
    planned = [
        each
        for each in deal(arguments.strikes, seed=arguments.seed)
        if each.number >= arguments.first and arguments.kind in (None, each.kind)
    ]
    began = time.monotonic()
    verdicts = []
    print(f"strikes of seed {arguments.seed}")
    print(heading(), flush=True)
    for verdict in struck(planned, worlds=arguments.worlds):
        verdicts.append(verdict)
        print(line(verdict), flush=True)
    print(f"{counts(verdicts)} in {(time.monotonic() - began) / 60:.0f} min")
    missing = len(planned) - len(verdicts)
    if missing:
        print(f"{missing} were not made: see above")
    return 1 if missing or any(verdict.outcome == "broken" for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
