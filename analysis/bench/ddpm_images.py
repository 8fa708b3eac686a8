"""Images per second of the U-Net's training and sampling, against the same network run the plain way.

The plain way: eager float32, batches from a data loader in host memory, torch's Adam, the average of the
weights by a loop over them, the label's part of the network computed anew at each step, and two passes for
guidance. Both run the same shapes, alternating, in one process on one device; a ratio is one of medians. The
peak is that of a large matrix product measured in the same process.

    python analysis/bench/ddpm_images.py                                                  # on a GPU
    python analysis/bench/ddpm_images.py --width 128 --batch 64 --steps 100 --chunk 50    # on one core
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from madray.generators.ddpm import DDPMGenerator
from madray.generators.denoisers import Denoiser
from madray.generators.devices import best_device
from madray.generators.diffusion import Schedule
from madray.generators.weights import Weights
from madray.samples import SampleSet
from madray.spec.generators import DDPM
from madray.streams import Stream

IMAGES, CLASSES = 60_000, 10


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in {
        "width": 256,
        "depth": 2,
        "batch": 512,
        "steps": 400,
        "chunk": 2000,
        "rounds": 3,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    device = best_device()
    settings = DDPM(
        width=asked.width,
        depth=asked.depth,
        batch=asked.batch,
        steps=asked.steps,
        chunk=asked.chunk,
        warmup=10,
    )
    samples = bytes_like_mnist()
    ours, plain = DDPMGenerator(settings), Plain(settings, samples, device)
    flops, peak = flops_of(plain.denoiser, device), peak_of(device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "one core"
    print(f"{where}; {flops / 1e6:.0f} MFLOP an evaluation, {plain.parameters:,} weights")
    kind = "bf16" if device.type == "cuda" else "float32"
    print(f"peak, by a matrix product: {peak / 1e12:.2f} TFLOP/s ({kind})")

    labels = np.arange(asked.chunk, dtype=np.int64) % CLASSES

    def sampling(bias: float) -> Callable[[], float]:
        def measured() -> float:
            start = time.perf_counter()
            ours.sample(asked.chunk, bias=bias, stream=Stream.of("made"), labels=labels)
            return asked.chunk / (time.perf_counter() - start)

        return measured

    y = torch.from_numpy(labels).to(device)
    cases = {
        # Operations an image: forward and twice that backward; T evaluations; below λ = 1 twice as many.
        "training": (lambda: trained(ours, samples), plain.trained, 3 * flops),
        "sampling, λ = 1": (sampling(1.0), lambda: plain.sampled(y, 1.0), settings.timesteps * flops),
        "sampling, λ = 0.5": (sampling(0.5), lambda: plain.sampled(y, 0.5), 2 * settings.timesteps * flops),
    }
    print(f"{'images/s':<20}{'ours':>12}{'plain':>12}{'ratio':>8}{'TFLOP/s':>10}{'of peak':>9}")
    for name, (fast, slow, cost) in cases.items():
        fast(), slow()  # compiles, and lets libraries choose
        rounds = [(fast(), slow()) for _ in range(asked.rounds)]
        mine, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
        rate = mine * cost
        told = f"{name:<20}{mine:>12,.1f}{theirs:>12,.1f}{mine / theirs:>8.2f}"
        print(f"{told}{rate / 1e12:>10.3f}{rate / peak:>9.1%}")
    print("TFLOP/s count the plain way's operations: what is shared counts as done twice.")


def bytes_like_mnist() -> SampleSet:
    """Bytes like MNIST's in number and shape: speed does not depend on what they show."""
    random = Stream.of("images").numpy()
    values = random.integers(256, size=(IMAGES, 1, 28, 28), dtype=np.uint8)
    return SampleSet(values, np.arange(IMAGES, dtype=np.int64) % CLASSES, CLASSES)


def trained(generator: DDPMGenerator, samples: SampleSet) -> float:
    """Images a second of a fit, after its first steps, up to its last look at the loss."""
    seen: list[tuple[int, float]] = []
    generator.fit(
        samples, stream=Stream.of("fit"), progress=lambda done, _: seen.append((done, time.perf_counter()))
    )
    (first, start), (last, end) = seen[0], seen[-1]
    return (last - first) * generator.settings.batch / (end - start)


class Plain:
    """The same network as most people would run it."""

    def __init__(self, settings: DDPM, samples: SampleSet, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.schedule = Schedule.named(settings.schedule, settings.timesteps)
        spread = np.full(samples.shape, 0.5, np.float32)
        self.denoiser, self.average = (
            Denoiser(
                samples.shape,
                classes=CLASSES,
                schedule=self.schedule,
                spread=spread,
                width=settings.width,
                depth=settings.depth,
                patch=settings.patch,
                device=device,
            )
            for _ in range(2)
        )
        for each in (self.denoiser, self.average):
            Weights(each, device).initialise(Stream.of("weights").torch())
        self.parameters = sum(parameter.numel() for parameter in self.denoiser.parameters())
        self.signal = torch.from_numpy(self.schedule.signal).float().to(device).view(-1, 1, 1, 1)
        data = TensorDataset(torch.from_numpy(samples.values), torch.from_numpy(np.array(samples.labels)))
        self.loader = DataLoader(data, batch_size=settings.batch, shuffle=True, drop_last=True)
        self.optimizer = torch.optim.Adam(self.denoiser.parameters(), lr=settings.learning_rate)

    def trained(self) -> float:
        """Images a second over the steps of a fit."""
        batches, start = self._endless(), time.perf_counter()
        for _ in range(self.settings.steps):
            x, y = next(batches)
            z = x.to(self.device).float() / 127.5 - 1
            y = y.to(self.device)
            t = torch.randint(1, self.settings.timesteps + 1, (len(z),), device=self.device)
            y = torch.where(torch.rand(len(y), device=self.device) < self.settings.label_dropout, CLASSES, y)
            epsilon = torch.randn_like(z)
            noised = self.signal[t].sqrt() * z + (1 - self.signal[t]).sqrt() * epsilon
            loss = functional.mse_loss(self.denoiser(noised, t, y), epsilon)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            with torch.no_grad():
                for mine, new in zip(self.average.parameters(), self.denoiser.parameters(), strict=True):
                    mine.mul_(self.settings.ema).add_(new, alpha=1 - self.settings.ema)
        self._wait()
        return self.settings.steps * self.settings.batch / (time.perf_counter() - start)

    @torch.no_grad()
    def sampled(self, y: torch.Tensor, bias: float) -> float:
        """Images a second by all T steps."""
        start, w = time.perf_counter(), 1 / bias - 1
        x = torch.randn((len(y), 1, 28, 28), device=self.device)
        for t in range(self.settings.timesteps, 0, -1):
            times = torch.full((len(y),), t, device=self.device)
            epsilon = self.average(x, times, y)
            if w:
                epsilon = (1 + w) * epsilon - w * self.average(x, times, torch.full_like(y, CLASSES))
            signal = float(self.schedule.signal[t])
            x0 = ((x - (1 - signal) ** 0.5 * epsilon) / signal**0.5).clamp(-1, 1)
            a, b, _ = self.schedule.posterior(t)
            x = a * x0 + b * x + (float(self.schedule.beta[t]) ** 0.5 if t > 1 else 0.0) * torch.randn_like(x)
        x.cpu()
        return len(y) / (time.perf_counter() - start)

    def _endless(self) -> Iterator[list[torch.Tensor]]:
        while True:
            yield from self.loader

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def flops_of(denoiser: Denoiser, device: torch.device) -> int:
    """Floating-point operations of one evaluation: convolutions and matrix products."""
    one = torch.ones(1, dtype=torch.long, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        denoiser(torch.zeros((1, 1, 28, 28), device=device), one, one)
    return int(counter.get_total_flops())


def peak_of(device: torch.device) -> float:
    """FLOP/s of the best of a few large matrix products."""
    size, kind = (8192, torch.bfloat16) if device.type == "cuda" else (2048, torch.float32)
    a, b = (torch.randn((size, size), device=device, dtype=kind) for _ in range(2))
    best = 0.0
    for _ in range(8):
        start = time.perf_counter()
        (a @ b)[0, 0].item()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


if __name__ == "__main__":
    main()
