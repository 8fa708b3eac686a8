"""A training step of the `wgan_gp` generator, against the plain way.

A step is one of the generator with the 5 of the critic before it, on random 28 × 28 images of one colour. The
plain way: layers as they stand in textbooks, images from a DataLoader in host memory, real, generated and
interpolated images through the critic one after the other, generated ones made anew each time, and torch's
Adam. Both have the same maps and shapes, and alternate in this process with one thread, on a CUDA device if
there is one.

    python analysis/bench/wgan_step.py            # about a minute on a CPU; prints tables
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from madray.generators.dcgan import LatentToImage
from madray.generators.devices import best_device
from madray.generators.weights import Weights
from madray.generators.wgan_gp import BETAS, Contest
from madray.spec.generators import WGANGP
from madray.streams import Stream

SIZES = (
    WGANGP(width=16, latent=64, batch=16),  # sweeps/fig13_small.yaml
    WGANGP(),
)

Step = Callable[[int], object]
"""Takes the number of the step."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.randint(256, (2000, 1, 28, 28), generator=Stream.of("bench").torch()).byte()
    for settings in SIZES:
        print(f"width {settings.width}, batches of {settings.batch}")
        compare({"ours": ours(images, settings), "plain": plain(images, settings)}, options.rounds)


def ours(images: Tensor, settings: WGANGP) -> Step:
    network = LatentToImage(settings.latent, images.shape[1:], width=settings.width)
    weights = Weights(network, best_device())
    return Contest(images.to(best_device()), network, weights, settings, Stream.of("bench")).step


def plain(images: Tensor, settings: WGANGP) -> Step:
    device, w = best_device(), settings.width
    critic = nn.Sequential(
        *(nn.Conv2d(1, w, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(w, 2 * w, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(2 * w, 4 * w, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(64 * w, 1)),
    ).to(device)
    generator = nn.Sequential(
        *(nn.Linear(settings.latent, 64 * w), nn.ReLU(), nn.Unflatten(1, (4 * w, 4, 4))),
        # Of 4 × 4, a transposed convolution makes 8 × 8: 7 × 7 of it are kept.
        *(nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1), nn.ReLU(), nn.ZeroPad2d((0, -1, 0, -1))),
        *(nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(w, 1, 4, 2, 1), nn.Tanh()),
    ).to(device)
    of_d, of_g = (torch.optim.Adam(each.parameters(), lr=1e-4, betas=BETAS) for each in (critic, generator))
    batches = endless(DataLoader(TensorDataset(images), settings.batch, shuffle=True, drop_last=True))

    def latent() -> Tensor:
        return torch.randn(settings.batch, settings.latent, device=device)

    def step(_: int) -> None:
        for _ in range(settings.critic_steps):
            real = next(batches).to(device).float() / 127.5 - 1
            fake = generator(latent()).detach()
            u = torch.rand(len(real), 1, 1, 1, device=device)
            between = (real + u * (fake - real)).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = settings.penalty * (slope.flatten(1).norm(dim=1) - 1).square().mean()
            of_d.zero_grad()
            (critic(fake).mean() - critic(real).mean() + penalty).backward()
            of_d.step()
        of_g.zero_grad()
        (-critic(generator(latent())).mean()).backward()
        of_g.step()

    return step


def endless(loader: DataLoader[tuple[Tensor, ...]]) -> Iterator[Tensor]:
    while True:
        for (batch,) in loader:
            yield batch


def compare(ways: dict[str, Step], rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for each in range(-3, rounds):  # the first ones only warm up
        for name, step in ways.items():
            started = time.perf_counter()
            step(max(each, 0))
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - started)
    for name, found in seconds.items():
        kept = [1e3 * took for took in found[3:]]
        print(f"  {name}: {statistics.median(kept):.1f} ms a step, least {min(kept):.1f} ms")
    ratios = [theirs / mine for mine, theirs in zip(seconds["ours"][3:], seconds["plain"][3:], strict=True)]
    print(
        f"  the plain way takes {statistics.median(ratios):.2f} times as long (median over {rounds} rounds)"
    )


if __name__ == "__main__":
    main()
