"""A training step of the `flow` generator, against the same flow built with zuko.

Both alternate in this process, with one thread: 8 couplings of width 64 in the plane with mixings in LU form,
batches of 256 points of the Rosenbrock reference; forward, backward and Adam (torch's fused one for zuko).
Then a fit of 10⁴ samples by each, and how far the likelihood of fresh samples is from the entropy.

    pip install zuko
    python analysis/bench/flow_step.py            # less than a minute; prints tables
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import zuko
from numpy.typing import NDArray
from torch import Tensor

from madray.generators.couplings import Couplings
from madray.generators.flow import Epochs, log_density
from madray.generators.standard import Standard
from madray.generators.training import Pace, Training, learning_rate
from madray.generators.weights import Weights
from madray.references.analytic import RosenbrockReference
from madray.spec.generators import Flow
from madray.spec.references import Rosenbrock
from madray.streams import Stream

STEPS = 800
"""Of a fit: 20 epochs of 40 batches."""

Step = Callable[[Tensor, int], None]
"""Takes a batch, and the number of the step."""

LogDensity = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    standard = Standard.of(drawn(10_000, "real"))
    z = torch.from_numpy(standard.inwards(drawn(10_000, "real"))).float()
    fresh = torch.from_numpy(standard.inwards(drawn(100_000, "fresh"))).float()
    print_steps(Epochs(z, 256, Stream.of("bench")), options.rounds)
    print_fits(z, fresh, standard)


def drawn(n: int, name: str) -> NDArray[np.float32]:
    return RosenbrockReference(Rosenbrock()).draw(n, Stream.of("bench", name)).flat()


def ours() -> tuple[Step, LogDensity]:
    settings = Flow()
    flow = Couplings(2, layers=settings.layers, width=settings.width)
    weights = Weights(flow, torch.device("cpu"))
    flow.initialise(Stream.of("bench", "weights").torch())
    training = Training(weights, Pace(settings.learning_rate, warmup=0, steps=STEPS, ema=0.0))

    def step(batch: Tensor, at: int) -> None:
        loss = -log_density(flow, batch).mean()
        weights.gradient.zero_()
        loss.backward()
        training.step(at)

    return step, lambda points: log_density(flow, points)


def zukos() -> tuple[Step, LogDensity]:
    settings = Flow()
    torch.manual_seed(0)  # zuko draws its first weights from the global generator
    layers = []
    for place in range(settings.layers):
        mask = torch.arange(2) % 2 == place % 2
        layers += [
            zuko.lazy.UnconditionalTransform(zuko.transforms.LULinearTransform, torch.eye(2)),
            zuko.flows.GeneralCouplingTransform(
                2, mask=mask, hidden_features=(settings.width,) * 2, activation=torch.nn.SiLU
            ),
        ]
    noise = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(2), torch.ones(2), buffer=True
    )
    flow = zuko.lazy.Flow(layers, noise)
    adam = torch.optim.Adam(flow.parameters(), fused=True)

    def step(batch: Tensor, at: int) -> None:
        adam.param_groups[0]["lr"] = learning_rate(at, peak=settings.learning_rate, warmup=0, steps=STEPS)
        loss = -flow().log_prob(batch).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()

    return step, lambda points: flow().log_prob(points)


FLOWS = {"ours": ours, "zuko": zukos}


def print_steps(epochs: Epochs, rounds: int) -> None:
    steps = {name: build()[0] for name, build in FLOWS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for each in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            for at in range(3 * each, 3 * each + 3):
                step(epochs.batch(at), at)
            seconds[name].append((time.perf_counter() - started) / 3)
    for name, found in seconds.items():
        print(f"{name}: {1e3 * statistics.median(found):.2f} ms a step, least {1e3 * min(found):.2f} ms")
    ratios = [zukos / ours for ours, zukos in zip(seconds["ours"], seconds["zuko"], strict=True)]
    print(
        f"zuko takes {statistics.median(ratios):.2f} times as long (median over {rounds} rounds)", flush=True
    )


def print_fits(z: Tensor, fresh: Tensor, standard: Standard) -> None:
    # E log p = −(log 2π)/2 − (log π)/2 − 1 of the reference, in units of the standardised data.
    entropy = math.log(math.sqrt(2) * math.pi) + 1 - standard.log_volume
    for name, build in FLOWS.items():
        step, density = build()
        epochs = Epochs(z, 256, Stream.of("bench"))
        started = time.perf_counter()
        for at in range(STEPS):
            step(epochs.batch(at), at)
        took = time.perf_counter() - started
        with torch.inference_mode():
            apart = -float(density(fresh).mean()) - entropy
        print(f"{name}: {STEPS} steps in {took:.1f} s, {apart:.4f} nats above the entropy of the reference")


if __name__ == "__main__":
    main()
