r"""The pairs of least total cost: a bijection between two batches.

An optimal plan of two batches of one size is a permutation; drawing pairs from it with replacement, as some do, leaves 36%
of each batch unused. The permutation is found by shortest augmenting paths (SciPy), after the cost has been reduced,

    c_ij -> c_ij - g_j - min_j (c_ij - g_j),                                                                        (1)

which adds the same number to every permutation. With g near the dual solution, from a few rounds of Sinkhorn while eps
falls, most rows of (1) have their own least entry, and the paths are short. The gain grows with the batch: about five times at
1024 points of the plane, none at 256 points in 64 dimensions.

References:
    Crouse, On Implementing 2D Rectangular Assignment Algorithms, 2016, https://doi.org/10.1109/TAES.2016.140952
    Peyre & Cuturi, Computational Optimal Transport, 2019, https://arxiv.org/abs/1803.00567, section 4.1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.couplings.base import Coupling, Pairs, same_size
from sde_diffusion.exact.entropic import half_squared_distances

FIRST, LAST, ROUNDS = 0.2, 1e-3, 10
"""The largest and the smallest eps in mean costs, between which it is halved, and the rounds of Sinkhorn at each."""


@dataclass(frozen=True)
class Assignment(Coupling):
    """The permutation of the least mean |x_0 - x_1|^2/2; every point of both batches is used once."""

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs; nothing is drawn. Raises ValueError for batches of two sizes."""
        same_size(self, x0, x1)
        far_rows = assign(half_squared_distances(x0, x1)).to(x1.device)
        return Pairs.of_rows(x0, x1, torch.arange(len(x0), device=x0.device), far_rows)


def assign(cost: Tensor) -> Tensor:
    """The permutation j(i) of the least sum of cost[i, j(i)], int64 (N,), for a finite cost (N, N)."""
    from scipy.optimize import linear_sum_assignment

    cost = cost.detach().cpu().to(torch.float64)
    reduced = cost - _dual(cost.float()).to(torch.float64)
    reduced = reduced - reduced.amin(1, keepdim=True)
    return torch.from_numpy(linear_sum_assignment(reduced.numpy())[1])


def _dual(cost: Tensor) -> Tensor:
    """g of equation (1); any finite g is allowed."""
    scale, g = float((cost - cost.amin()).mean()), torch.zeros_like(cost[0])
    eps = scale * FIRST
    while eps > scale * LAST:
        f = (cost - g).amin(1)
        kernel, v = ((f.unsqueeze(1) + g - cost) / eps).exp(), torch.ones_like(g)
        for _ in range(ROUNDS):
            u = 1 / (kernel @ v).clamp_min(1e-30)
            v = 1 / (u @ kernel).clamp_min(1e-30)
        g, eps = g + eps * v.log(), eps / 2
    return g
