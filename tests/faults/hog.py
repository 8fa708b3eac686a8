"""A Ray job of its own that fills the object stores of all nodes when it is told to, and holds what it put there.

Run as `python hog.py ADDRESS`. Each line on stdin is answered by one on stdout; the end of stdin ends it.
"""

from __future__ import annotations

import logging
import sys

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

BLOCK_BYTES = 8 << 20
BLOCKS = 15
"""On each node: half as much again as its store takes."""


def _block() -> np.ndarray:
    return np.zeros(BLOCK_BYTES, dtype=np.uint8)


def main(address: str) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # Ray prints there what befell its nodes
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    block = ray.remote(num_cpus=0)(_block)
    print("ready", file=answers, flush=True)
    held = []
    for _ in sys.stdin:
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        held += [
            block.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
            for node in nodes
            for _ in range(BLOCKS)
        ]
        ray.wait(held, num_returns=len(held), fetch_local=False)
        print("held", file=answers, flush=True)
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
