"""What sees the noise in what is noised: a network, its scales, its sense of time and its classes.

The network neither sees data as they are, nor makes ε itself. For data z_0 of mean 0 and standard deviations
τ (one for each coordinate), and z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε,

    ε(z, t, y) = √(1 − ᾱ_t) / v_t · z + √ᾱ_t τ / √v_t · F(z / √u_t, t, y),
    v_t = ᾱ_t τ² + 1 − ᾱ_t,   u_t = ᾱ_t mean(τ²) + 1 − ᾱ_t

The first term is the whole answer for Gaussian data without correlations, and F, of unit size at every t,
adds what the data have beyond that. So an error of F is never divided by √ᾱ_t ≈ 0 on its way to z_0, and a
coordinate that never varies (a pixel outside all digits; a collapsed mode) is sampled exactly.

What F gets wrong is in the error of ε times √ᾱ_t τ / √v_t, and so hardly counts where noise is large, which
is where a sample becomes one of a class. A training step therefore weighs squared errors at t by

    min(5, u_t / (ᾱ_t mean(τ²))),

the loss of F itself but for the bound, below which times of little use would outweigh all others.

Source: the preconditioning of Karras et al. 2022 (arXiv:2206.00364), table 1, written for ε and with a σ_data
for each coordinate; its use for a DDPM is ours. A bounded weight: Hang et al. 2023 (arXiv:2303.09556).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from madray.generators.diffusion import Schedule
from madray.generators.networks import MLP, TIME_FEATURES, Network, Seen, UNet

LARGEST_FLAT = 8
"""Images up to this height and width go to the MLP."""

LABEL_LENGTH = (TIME_FEATURES / 2) ** 0.5
"""How long the vector of a class is: as long as that of a time, so that the first weights heed both alike."""

LARGEST_WEIGHT = 5.0
"""How much more the error of ε counts at the most noise than at the least."""


class Denoiser(nn.Module):
    """ε(z, t, y): a network with its scales, its sense of time and its classes.

    Args:
        shape: of one sample.
        classes: how many there are; one more index, `classes` itself, stands for "no label".
        schedule: of the noise.
        spread: τ, shape `shape`.
        width, depth, patch: of the network, as the settings say.

    Attributes:
        weight: of the squared error at each t from 0 to T in the loss, shape (T + 1,).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int,
        schedule: Schedule,
        spread: NDArray[np.float32],
        width: int,
        depth: int,
        patch: int,
        device: torch.device,
    ) -> None:
        super().__init__()
        # Built without memory, and so without a draw from torch's global generator; `Weights` fills it.
        with torch.device("meta"):
            self.network: Network = (
                UNet(shape, patch=patch, channels=max(width // 4, 1), depth=depth)
                if len(shape) == 3 and max(shape[1:]) > LARGEST_FLAT
                else MLP(shape, width, depth)
            )
            self.condition = nn.Linear(TIME_FEATURES + classes + 1, self.network.told)
        self.unlabelled = classes

        def table(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device)

        tau2 = spread.astype(np.float64) ** 2
        signal = schedule.signal.reshape(-1, *(1 for _ in shape))
        variance = signal * tau2 + 1 - signal
        variance[0] = 1  # t = 0 is never asked for, and 0 / 0 where τ = 0
        self.skip = table((1 - signal) ** 0.5 / variance)
        self.out = table(signal**0.5 * spread / variance**0.5)
        whole = signal * tau2.mean() + 1 - signal
        whole[0] = 1  # the same
        self.into = table(whole**-0.5)
        part = np.maximum(signal * tau2.mean(), 1e-12)  # 0 where all samples are one
        self.weight = table(np.minimum(whole / part, LARGEST_WEIGHT).ravel())
        self.time = table(time_features(schedule.timesteps))
        self.label = torch.eye(classes + 1, device=device) * LABEL_LENGTH

    def forward(self, z: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """ε of n inputs, each at a time and with a class of its own: shapes (n, *shape), (n,) and (n,)."""
        time = self.time.index_select(0, t)
        condition = self.condition(torch.cat([time, self.label.index_select(0, y)], dim=1))
        return self._scaled(self.network.decode(self._encode(z, t), condition), z, t)

    def labelled(self, z: Tensor, t: Tensor, told: Tensor) -> Tensor:
        """ε of n inputs that share their time, shape (1,); `told` is what `tell` says of their classes."""
        return self._scaled(self.network.decode(self._encode(z, t), told + self._times(t)), z, t)

    def both(self, z: Tensor, t: Tensor, told: Tensor) -> Tensor:
        """ε of n inputs that share their time, shape (1,), in 2n rows: with the classes, and without.

        `told` is what `tell` says of the classes and, in n rows more, of none. From where the network learns
        of the label on, all is one batch; what comes before is done once.
        """
        twice = tuple(torch.cat([each, each]) for each in self._encode(z, t))
        return self._scaled(self.network.decode(twice, told + self._times(t)), torch.cat([z, z]), t)

    def tell(self, y: Tensor) -> Tensor:
        """The term of the condition that depends on the class alone, shape (n, `network.told`)."""
        return functional.linear(self.label.index_select(0, y), self.condition.weight[:, TIME_FEATURES:])

    def _times(self, t: Tensor) -> Tensor:
        """The term that depends on time alone."""
        weight, bias = self.condition.weight[:, :TIME_FEATURES], self.condition.bias
        return functional.linear(self.time.index_select(0, t), weight, bias)

    def _encode(self, z: Tensor, t: Tensor) -> Seen:
        return self.network.encode(z * self.into.index_select(0, t), self.time.index_select(0, t))

    def _scaled(self, made: Tensor, z: Tensor, t: Tensor) -> Tensor:
        return torch.addcmul(self.skip.index_select(0, t) * z, self.out.index_select(0, t), made)


def time_features(timesteps: int) -> NDArray[np.float64]:
    """Sines and cosines of t = 0, 1, …, T, shape (T + 1, `TIME_FEATURES`), as if T were 1000.

    Source: Ho, Jain and Abbeel 2020 (arXiv:2006.11239), appendix B, after Vaswani et al. 2017.
    """
    half = TIME_FEATURES // 2
    angles = np.arange(timesteps + 1)[:, None] * (1000 / timesteps) * 1e-4 ** (np.arange(half) / half)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
