"""Chains of Gaussian models, many replicates at once in torch: for GPUs, and for few dimensions on a CPU.

The same arithmetic as `madray.theory.fit`. Replicates come in blocks of one size, each with streams of its
own and always made whole, so that what a replicate is does not depend on how many there are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from madray.streams import Stream
from madray.theory.loop import Loop, equal_counts

BLOCK = 256
"""Replicates of a block."""

IN_ONE_CALL = 32
"""Up to this dimension a GPU takes the singular values of many matrices in one call. Larger ones would go one
after the other there, and come from the CPU."""


@dataclass(frozen=True)
class Models:
    """N(μ, L Lᵀ) of each replicate: mean (b, d), root (b, d, d)."""

    mean: Tensor
    root: Tensor


@dataclass(frozen=True)
class Groups:
    """Mean and scatter M Mᵀ of n samples of each replicate: n (b,), mean (b, d), columns (b, d, k)."""

    n: Tensor
    mean: Tensor
    columns: Tensor


class Draws:
    """Draws for one block: normals on the device; χ² and counts, of which there are few, by NumPy."""

    def __init__(self, d: int, stream: Stream, device: str) -> None:
        self._d = d
        self._rng = stream.child("few").numpy()
        self._generator = stream.child("normals").torch(device)
        self._device = device
        self._below = torch.ones(d, d, dtype=torch.bool, device=device).tril(-1)

    def tensor(self, values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=float), device=self._device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(BLOCK, *shape, dtype=torch.float64, device=self._device, generator=self._generator)

    def counts(self, n: int, reach: int) -> np.ndarray:
        return self._rng.multinomial(n, np.full(reach, 1 / reach), size=BLOCK)

    def bartlett(self, n: Tensor) -> Tensor:
        """Bartlett's factor for the scatter of n samples, shape (b, d, d); 0 from column n − 1 on."""
        steps = np.arange(self._d)
        freedom = n.cpu().numpy()[:, None] - 1 - steps
        chi = np.sqrt(np.where(freedom > 0, self._rng.chisquare(np.maximum(freedom, 1.0)), 0.0))
        below = torch.where(self._below, self.normal(self._d, self._d), 0.0)
        there = torch.as_tensor(freedom > 0, device=self._device)
        return torch.where(there[:, None, :], below, 0.0) + torch.diag_embed(self.tensor(chi))

    def standard(self, n: int) -> Groups:
        """n samples of N(0, I_d)."""
        counts = self.tensor(np.full(BLOCK, n))
        return Groups(counts, self.normal(self._d) / n**0.5, self.bartlett(counts))

    def from_models(self, models: Models, n: Tensor, bias: float) -> Groups:
        """n samples of N(μ, λΣ); n may be 0 for some replicates."""
        step = torch.einsum("bij,bj->bi", models.root, self.normal(self._d))
        mean = models.mean + step * (bias / n.clamp(min=1)).sqrt()[:, None]
        return Groups(n, mean, bias**0.5 * models.root @ self.bartlett(n))


def merge(groups: list[Groups]) -> Groups:
    """The samples of several groups as one."""
    if len(groups) == 1:
        return groups[0]
    n = torch.stack([group.n for group in groups]).sum(0)
    mean = sum((group.n[:, None] * group.mean for group in groups), torch.zeros_like(groups[0].mean))
    mean = mean / n[:, None]
    between = torch.stack([group.n.sqrt()[:, None] * (group.mean - mean) for group in groups], dim=2)
    return Groups(n, mean, _triangle(torch.cat([*(group.columns for group in groups), between], dim=2)))


def fit(groups: list[Groups]) -> Models:
    """Mean and unbiased covariance of all samples of each replicate."""
    whole = merge(groups)
    return Models(whole.mean, whole.columns / (whole.n - 1).sqrt()[:, None, None])


def _triangle(columns: Tensor) -> Tensor:
    """L of shape (b, d, d) with L Lᵀ = M Mᵀ."""
    scatter = columns @ columns.mT
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(scatter)
    if bool(failed.any()):
        # Singular to working precision: R of the columns themselves, which costs more, for these alone.
        triangle = torch.linalg.qr(columns[failed > 0].mT, mode="r").R.mT
        short = columns.shape[1] - triangle.shape[2]
        root[failed > 0] = torch.nn.functional.pad(triangle, (0, short)) if short > 0 else triangle
    return root


def statistics(loop: Loop, n_ini: int, generations: int, stream: Stream, device: str) -> Tensor:
    """|μ|², tr Σ and tr Σ^½ of each generation of a block of chains, shape (BLOCK, generations, 3)."""
    draws = Draws(loop.d, stream, device)
    fixed: Groups | None = None
    if loop.real == "fixed" and loop.n_r:
        common = draws.standard(min(n_ini, loop.n_r))
        more = abs(n_ini - loop.n_r)
        whole = merge([common, draws.standard(more)]) if more else common
        first, fixed = (common, whole) if n_ini < loop.n_r else (whole, common)
    else:
        first = draws.standard(n_ini)
    latest = deque([fit([first])], maxlen=loop.memory)
    told = torch.empty(BLOCK, generations, 3, dtype=torch.float64, device=device)
    told[:, 0] = _told(latest[0])
    for t in range(1, generations):
        latest.appendleft(_next(loop, latest, draws, fixed))
        told[:, t] = _told(latest[0])
    return told


def _next(loop: Loop, latest: deque[Models], draws: Draws, fixed: Groups | None) -> Models:
    groups = []
    if loop.n_r:
        groups.append(fixed or draws.standard(loop.n_r))
    if loop.n_s:
        reach = len(latest)
        if loop.split == "equal" or reach == 1:
            counts = np.broadcast_to(equal_counts(loop.n_s, reach), (BLOCK, reach))
        else:
            counts = draws.counts(loop.n_s, reach)
        groups += [
            draws.from_models(models, draws.tensor(counts[:, place]), loop.bias)
            for place, models in enumerate(latest)
        ]
    return fit(groups)


def _told(models: Models) -> Tensor:
    root = models.root if models.root.shape[-1] <= IN_ONE_CALL else models.root.cpu()
    roots = torch.linalg.svdvals(root).to(models.root.device)
    return torch.stack([models.mean.square().sum(1), models.root.square().sum((1, 2)), roots.sum(1)], dim=1)
