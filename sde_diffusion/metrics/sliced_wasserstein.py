r"""The sliced Wasserstein-2 distance: optimal transport on lines, averaged over directions.

    SW_2^2(p, q) = E_theta W_2^2(theta . p, theta . q),  theta uniform on the unit sphere                          (1)
    W_2^2(p, q)  = int_0^1 (F_p^{-1}(u) - F_q^{-1}(u))^2 du     on the line                                    (2)

For two samples both quantile functions of (2) are staircases with steps at i/N and j/M, so the integral is a finite
sum, exact for unequal N and M too. The directions come as orthonormal bases, which leaves (1) unbiased and lowers its
variance; for a mere shift by d and a multiple of D directions the answer is |d| / sqrt(D) exactly.

References:
    Bonneel, Rabin, Peyre & Pfister, Sliced and Radon Wasserstein Barycenters of Measures, 2015,
        https://doi.org/10.1007/s10851-014-0506-3
    Rowland et al., Orthogonal Estimation of Wasserstein Distances, 2019, https://arxiv.org/abs/1903.03784
"""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.metrics.features import feature_pair


def sliced_wasserstein(x: Tensor, y: Tensor, directions: int = 256, seed: int = 0) -> float:
    """SW_2, the square root of (1), for x (N, D) and y (M, D); `seed` fixes the directions."""
    x, y = feature_pair(x, y)
    theta = orthogonal_directions(x.shape[1], directions, seed).to(x.device)
    return float(wasserstein_squared(x @ theta, y @ theta).mean().sqrt())


def wasserstein_squared(x: Tensor, y: Tensor) -> Tensor:
    """Equation (2) for each column of x (N, K) and y (M, K): shape (K,)."""
    weight, row_x, row_y = _common_steps(len(x), len(y), x.device)
    gap = x.sort(dim=0).values[row_x] - y.sort(dim=0).values[row_y]
    return (weight[:, None].to(gap) * gap.square()).sum(dim=0)


def orthogonal_directions(dimension: int, count: int, seed: int) -> Tensor:
    """`count` unit vectors in the columns, float64 (D, count): random orthonormal bases, the last perhaps in part."""
    if count < 1:
        raise ValueError(f"the number of directions is at least 1, got {count}")
    generator = torch.Generator().manual_seed(seed)
    bases = [_basis(dimension, min(dimension, count - done), generator) for done in range(0, count, dimension)]
    return torch.cat(bases, dim=1)


def _basis(dimension: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` orthonormal columns, uniform up to their signs, which no square sees: the Q of a Gaussian matrix."""
    return torch.linalg.qr(torch.randn(dimension, count, generator=generator, dtype=torch.float64)).Q


def _common_steps(n: int, m: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The pieces of [0, 1] on which both staircases are flat: lengths, and the step each staircase is on.

    The ends i/n and j/m are compared as the integers i m and j n, without rounding.
    """
    ends_x = torch.arange(1, n + 1, device=device) * m
    ends_y = torch.arange(1, m + 1, device=device) * n
    ends = torch.cat([ends_x, ends_y]).unique()
    lengths = torch.diff(ends, prepend=ends.new_zeros(1)).double() / (n * m)
    return lengths, torch.searchsorted(ends_x, ends), torch.searchsorted(ends_y, ends)
