"""Makes the table of E W2² and E W2 of Gaussians fitted to real samples alone that madray ships.

python analysis/tabulate_real_only.py            # writes madray/theory/real_only.csv
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import madray.theory
from madray.theory.real_only import TABLE, table_rows

DIMENSIONS = (1, 2, 3, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, 128, 200, 256)


def main() -> None:
    path = Path(madray.theory.__file__).parent / TABLE
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("d", "n", "w2_squared", "w2"))
        for d in DIMENSIONS:
            started = time.perf_counter()
            for n, w2_squared, w2 in table_rows(d):
                writer.writerow((d, n, f"{w2_squared:.8g}", f"{w2:.8g}"))
            print(f"d = {d}: {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
