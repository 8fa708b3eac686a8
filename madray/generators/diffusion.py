"""The arithmetic of diffusion: noise schedules, steps of sampling, guidance; with no network in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

Epsilon = Callable[[torch.Tensor, int], torch.Tensor]
"""(x_t, t) → the noise ε that is thought to be in x_t, of x_t's shape."""

TwoEpsilons = Callable[[torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]
"""(x_t, t) → ε with labels, and ε without."""

LARGEST_BETA = 0.999
"""Nichol and Dhariwal's cap on β_t, which keeps the last steps from dividing by 0."""


@dataclass(frozen=True)
class Schedule:
    """Noise levels of x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε for t = 0, 1, …, T; t = 0 is clean.

    Attributes:
        beta: β_t, shape (T + 1,), float64; β_0 = 0.
        signal: ᾱ_t = Π_{s ≤ t} (1 − β_s), shape (T + 1,); ᾱ_0 = 1.

    >>> schedule = Schedule.cosine(4)
    >>> schedule.signal.round(3).tolist()
    [1.0, 0.847, 0.494, 0.144, 0.0]
    """

    beta: Array
    signal: Array

    @staticmethod
    def of(betas: Array) -> Schedule:
        """The schedule with β_1 … β_T as given, none above `LARGEST_BETA`."""
        beta = np.concatenate([[0.0], np.minimum(betas, LARGEST_BETA)])
        return Schedule(beta, np.cumprod(1 - beta))

    @staticmethod
    def named(name: Literal["cosine", "linear"], timesteps: int) -> Schedule:
        """The schedule of this name with T steps."""
        return Schedule.cosine(timesteps) if name == "cosine" else Schedule.linear(timesteps)

    @staticmethod
    def cosine(timesteps: int) -> Schedule:
        """ᾱ_t = f(t) / f(0) with f(t) = cos²((t/T + s) / (1 + s) · π/2) and s = 0.008.

        Source: Nichol and Dhariwal 2021 (arXiv:2102.09672), eq. 17.
        """
        t = np.arange(timesteps + 1) / timesteps
        f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
        return Schedule.of(1 - f[1:] / f[:-1])

    @staticmethod
    def linear(timesteps: int) -> Schedule:
        """β_t from 10⁻⁴ to 0.02 in equal steps, both times 1000 / T.

        Source: Ho, Jain and Abbeel 2020 (arXiv:2006.11239), section 4, for T = 1000; the scaling, which
        leaves ᾱ_T about the same for every T, is ours.
        """
        return Schedule.of(np.linspace(1e-4, 0.02, timesteps) * 1000 / timesteps)

    @property
    def timesteps(self) -> int:
        """T."""
        return len(self.beta) - 1

    def posterior(self, t: int) -> tuple[float, float, float]:
        """(a, b, β̃_t) of q(x_{t−1} | x_t, x_0) = N(a x_0 + b x_t, β̃_t).

            a = √ᾱ_{t−1} β_t / (1 − ᾱ_t),   b = √(1 − β_t) (1 − ᾱ_{t−1}) / (1 − ᾱ_t),
            β̃_t = (1 − ᾱ_{t−1}) / (1 − ᾱ_t) β_t

        Source: Ho, Jain and Abbeel 2020, eq. 6 and 7.

        >>> Schedule.cosine(4).posterior(1)  # the last step gives x_0 itself
        (1.0, 0.0, 0.0)
        """
        beta, noise, noise_before = self.beta[t], 1 - self.signal[t], 1 - self.signal[t - 1]
        a = self.signal[t - 1] ** 0.5 * beta / noise
        b = (1 - beta) ** 0.5 * noise_before / noise
        return float(a), float(b), float(noise_before / noise * beta)


@dataclass(frozen=True)
class Step:
    """x_t → x_s, s < t: x_s = a x̂_0 + b x_t + σ z with z ~ N(0, 1)."""

    t: int
    a: float
    b: float
    sigma: float


def ancestral(schedule: Schedule, variance: Literal["beta", "posterior"]) -> list[Step]:
    """T steps from q(x_{t−1} | x_t, x̂_0) with σ_t² = β_t, or β̃_t of the posterior. The last adds no noise.

    Source: Ho, Jain and Abbeel 2020 (arXiv:2006.11239), algorithm 2, with x̂_0 written out.
    """
    steps = []
    for t in range(schedule.timesteps, 0, -1):
        a, b, posterior = schedule.posterior(t)
        sigma2 = float(schedule.beta[t]) if variance == "beta" else posterior
        steps.append(Step(t, a, b, sigma2**0.5 if t > 1 else 0.0))
    return steps


def ddim(schedule: Schedule, count: int) -> list[Step]:
    """`count` steps without noise, at times evenly apart: x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s) ε(x_t, t).

    Source: Song, Meng and Ermon 2021 (arXiv:2010.02502), eq. 12 with σ = 0.

    >>> [step.t for step in ddim(Schedule.cosine(10), 3)]
    [10, 7, 3]
    """
    times = np.rint(np.linspace(schedule.timesteps, 0, count + 1)).astype(int)
    steps = []
    for t, s in pairwise(times.tolist()):
        b = ((1 - schedule.signal[s]) / (1 - schedule.signal[t])) ** 0.5
        a = schedule.signal[s] ** 0.5 - b * schedule.signal[t] ** 0.5
        steps.append(Step(t, float(a), float(b), 0.0))
    return steps


def walk(
    epsilon: Epsilon,
    shape: tuple[int, ...],
    *,
    schedule: Schedule,
    steps: Sequence[Step],
    bounds: tuple[torch.Tensor, torch.Tensor] | None,
    generator: torch.Generator,
) -> torch.Tensor:
    """x_0 from x_T ~ N(0, 1), step by step, with x̂_0 = (x_t − √(1 − ᾱ_t) ε(x_t, t)) / √ᾱ_t.

    Args:
        epsilon: the noise in x_t; called once a step.
        shape: of what is made, the number of samples first.
        bounds: between which x̂_0 is clipped, shapes of one sample; None for numbers without bounds.
        generator: gives x_T and every z; what is made lies on its device.

    Returns: x_0, float32.
    """
    x = torch.randn(shape, generator=generator, device=generator.device)
    noise = torch.empty_like(x)
    for step in steps:
        signal = float(schedule.signal[step.t])
        x0 = torch.mul(x, signal**-0.5)
        x0.add_(epsilon(x, step.t), alpha=-(((1 - signal) / signal) ** 0.5))
        if bounds:
            x0.clamp_(*bounds)
        x.mul_(step.b).add_(x0, alpha=step.a)
        if step.sigma:
            x.add_(noise.normal_(generator=generator), alpha=step.sigma)
    return x


def guided(both: TwoEpsilons, bias: float) -> Epsilon:
    """Classifier-free guidance by λ: ε = (1 + w) ε(x, y) − w ε(x) with w = 1/λ − 1.

    Args:
        both: ε with the labels, and without.
        bias: λ in (0, 1]; 1 would need no guidance.

    Source: Ho and Salimans 2021 (arXiv:2207.12598), eq. 6; λ from Alemohammad et al. 2023.
    """
    w = 1 / bias - 1

    def epsilon(x: torch.Tensor, t: int) -> torch.Tensor:
        labelled, unlabelled = both(x, t)
        return torch.lerp(unlabelled, labelled, 1 + w)

    return epsilon
