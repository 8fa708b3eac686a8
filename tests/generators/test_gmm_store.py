"""Cheap generations leave little behind: 2,000 of a mixture have to fit into 50 MB."""

from pathlib import Path

import madray

GENERATIONS = 40
MOST_BYTES = 50e6 / 2000
"""Of one generation and all that is measured of it."""


def test_a_generation_of_a_mixture_takes_little_room(tmp_path: Path) -> None:
    chain = {
        "reference": "gmm25",
        "generator": "gmm",
        "loop": "fully_synthetic",
        "n_ini": 1000,
        "n_s": 1000,
        "n_eval": 1000,
    }
    sizes = []
    for generations in (GENERATIONS, 2 * GENERATIONS):  # what a chain takes once does not count
        madray.run_chain({**chain, "generations": generations}, seed=0, store=tmp_path)
        sizes.append(sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
    assert sizes[1] - sizes[0] < GENERATIONS * MOST_BYTES
