"""An invertible map made of coupling layers, whose Jacobian is known: the network of normalizing flows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STEEPEST = 2.0
"""The largest |s|: a coupling stretches by e^s at most, however collapsed the data are."""


class Couplings(nn.Module):
    """z = f(x) in d dimensions, and log |det ∂z/∂x|; layer after layer,

        h ← e^a ⊙ h + b                          actnorm
        h ← h P (1 + L) (1 + U)                  mixing
        h_2 ← e^s ⊙ h_2 + t,  (s, t) of h_1      affine coupling

    The first ⌊d/2⌋ numbers of h are h_1, the others h_2. P moves the halves on, L and U are strictly lower
    and upper triangular, so that mixing keeps volumes. s, which `STEEPEST` bounds, and t come from a network
    with two hidden layers. All begins as a permutation: data of unit variance keep it on their way, so the
    actnorms need no first values from data beyond what standardised these. A single number is not coupled
    with anything: f is affine then.

    Parameters of all layers lie in one tensor each, so that a training step is few operations.

    Args:
        d: numbers of a sample; may be 0.
        layers: how many.
        width: hidden units of the networks.

    Source: Kingma and Dhariwal 2018 (arXiv:1807.03039), section 3; Dinh et al. 2017 (arXiv:1605.08803),
    eq. 4 to 8. L and U of unit diagonal beside an actnorm, SiLU and the bound on s are ours.
    """

    def __init__(self, d: int, *, layers: int, width: int) -> None:
        super().__init__()
        self.still = still = d // 2
        moved = d - still
        # Built without memory, and so without a draw from torch's global generator; `Weights` fills it.
        with torch.device("meta"):
            self.log_scale, self.shift = _parameter(layers, 1, d), _parameter(layers, d)
            self.lower, self.upper = _parameter(layers, d, d), _parameter(layers, d, d)
            self.first, self.first_bias = _parameter(layers, still, width), _parameter(layers, width)
            self.second, self.second_bias = _parameter(layers, width, width), _parameter(layers, width)
            self.last, self.last_bias = _parameter(layers, width, 2 * moved), _parameter(layers, 2 * moved)
        self._one = torch.eye(d)
        self._below = torch.ones(d, d).tril(-1)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw first weights: uniform within ±1/√(inputs) in hidden layers; all else stays 0, as it is."""
        for drawn in (self.first, self.second):
            bound = max(drawn.shape[1], 1) ** -0.5
            drawn.data.copy_(torch.rand(drawn.shape, generator=generator).mul_(2 * bound).sub_(bound))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z, shape (n, d), and log |det ∂z/∂x|, shape (n,), of x, shape (n, d)."""
        h, steepness = x, [torch.zeros_like(x[:, :0])]
        for matrix, shift, network in self._layers():
            still, moved = torch.addmm(shift, h, matrix).tensor_split([self.still], dim=1)
            s, t = _conditioned(network, still)
            steepness.append(s)
            h = torch.cat([still, torch.addcmul(t, moved, s.exp())], dim=1)
        return h, torch.cat(steepness, dim=1).sum(dim=1) + self.log_scale.sum()

    def inverse(self, z: Tensor) -> Tensor:
        """x with f(x) = z; shapes (n, d)."""
        h = z
        for matrix, shift, network in reversed(self._layers()):
            still, moved = h.tensor_split([self.still], dim=1)
            s, t = _conditioned(network, still)
            h = torch.cat([still, (moved - t) * torch.exp(-s)], dim=1)
            h = (h - shift) @ torch.linalg.inv(matrix)
        return h

    def _layers(self) -> list[tuple[Tensor, Tensor, tuple[Tensor, ...]]]:
        """Of each layer: actnorm and mixing as h A + b, and the network of the coupling."""
        lower, upper = self.lower * self._below + self._one, self.upper * self._below.T + self._one
        mixing = torch.bmm(lower, upper).roll(self.still, dims=1)
        matrices = self.log_scale.exp().transpose(1, 2) * mixing
        shifts = torch.bmm(self.shift[:, None], mixing)[:, 0]
        networks = (self.first, self.first_bias, self.second, self.second_bias, self.last, self.last_bias)
        unbound = zip(*(each.unbind() for each in networks), strict=True)
        return list(zip(matrices.unbind(), shifts.unbind(), unbound, strict=True))


def _conditioned(network: tuple[Tensor, ...], still: Tensor) -> tuple[Tensor, Tensor]:
    """(s, t), shapes (n, d − ⌊d/2⌋), of h_1, shape (n, ⌊d/2⌋)."""
    first, first_bias, second, second_bias, last, last_bias = network
    hidden = functional.silu(torch.addmm(first_bias, still, first))
    hidden = functional.silu(torch.addmm(second_bias, hidden, second))
    s, t = torch.addmm(last_bias, hidden, last).tensor_split(2, dim=1)
    return STEEPEST * torch.tanh(s), t


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape))
