r"""The data points that explain an observation: soft nearest neighbours.

In the chart y = x/alpha, kappa = sigma/alpha, the posterior over the points of a data set is

    r_i = softmax_i(-|y - x_i|^2 / (2 kappa^2)).                                                                   (1)

Why distances are taken by differences, and not as |y|^2 - 2 y.x_i + |x_i|^2. The expansion is wrong by about eps R^2,
with R the extent of the data, the differences by about eps |y - x_i|^2. Near the data |y - x_i|^2 is about kappa^2 d,
so the exponent of (1) is wrong by eps R^2 / kappa^2 there (1e-2 in float64 at kappa = 1e-7 R; useless in float32 at
kappa = 1e-3 R), and by eps d here. Nor does a small alpha hurt: the exponents d/2 + O(alpha) keep an absolute error of
eps d/2. The smallest distance is subtracted before the division: the weight of the nearest point never underflows, and
kappa = 0 gives the nearest point itself (ties share) without 0/0.

`torch.cdist` forms the differences in one pass, but has neither second nor forward derivatives. Those of the exponents
come from |y|^2 - 2 y.x_i, which enters with the value zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sde_diffusion.exact.blocks import in_blocks
from sde_diffusion.kernel import Kernel


def chart(kernel: Kernel, rows: Tensor) -> tuple[Tensor, Tensor]:
    """y = x/alpha of shape (B, d) and kappa = sigma/alpha of shape (B, 1).

    alpha is held above sigma tiny^(1/4) (1e-77 in float64, 3e-10 in float32), so that |y|^2 stays finite at alpha = 0
    and (1) changes by less than rounding.
    """
    alpha, sigma = (torch.as_tensor(c, dtype=rows.dtype, device=rows.device) for c in kernel.over(rows))
    alpha = torch.maximum(alpha, sigma * torch.finfo(rows.dtype).tiny ** 0.25)
    return rows / alpha, (sigma / alpha).expand(len(rows), 1)


def squared_distances(y: Tensor, points: Tensor) -> Tensor:
    """|y_b - x_i|^2 by differences, shape (B, N), differentiable in y to any order and in both modes."""
    value = torch.cdist(y.detach(), points, compute_mode="donot_use_mm_for_euclid_dist").square()
    return value + _zero(y.square().sum(-1, keepdim=True) - 2 * y @ points.mT)


def exponents(y: Tensor, kappa: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """(m - |y - x_i|^2) / (2 kappa^2), shape (B, N), at most 0, and m = min_i |y - x_i|^2, shape (B, 1)."""
    distances = squared_distances(y, points)
    least = distances.amin(-1, keepdim=True)
    return (least - distances) / (2 * kappa.square()).clamp_min(torch.finfo(y.dtype).tiny), least


def posterior_mean(y: Tensor, kappa: Tensor, points: Tensor) -> Tensor:
    """sum_i r_i x_i, shape (B, d), equation (1)."""

    def mean(y: Tensor, kappa: Tensor) -> Tensor:
        return exponents(y, kappa, points)[0].softmax(-1) @ points

    return in_blocks(mean, len(points), y, kappa)


def log_mean(y: Tensor, kappa: Tensor, points: Tensor) -> Tensor:
    """log mean_i exp(-|y - x_i|^2 / (2 kappa^2)), shape (B,)."""

    def log_sum(y: Tensor, kappa: Tensor) -> Tensor:
        logits, least = exponents(y, kappa, points)
        return logits.logsumexp(-1) - (least / (2 * kappa.square())).squeeze(-1)

    return in_blocks(log_sum, len(points), y, kappa) - math.log(len(points))


def nearest(y: Tensor, points: Tensor) -> Tensor:
    """The index of the nearest point, shape (B,)."""
    return in_blocks(lambda rows: squared_distances(rows, points).argmin(-1), len(points), y)


def _zero(x: Tensor) -> Tensor:
    """0 with the derivatives of x."""
    return x - x.detach()
