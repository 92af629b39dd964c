r"""The energy distance: zero exactly when the laws are equal, without features, bandwidths or densities.

    E(p, q) = 2 E|X - Y| - E|X - X'| - E|Y - Y'|,    X, X' ~ p and Y, Y' ~ q independent                      (1)

The estimate leaves a sample out of its own partners (a U-statistic), so its mean is (1) whatever the sample sizes; for
equal laws it is as often below zero as its mean of zero demands.

References:
    Szekely & Rizzo, Energy Statistics: A Class of Statistics Based on Distances, 2013,
        https://doi.org/10.1016/j.jspi.2013.03.018
"""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.metrics.features import feature_pair


def energy_distance(x: Tensor, y: Tensor, chunk: int = 2048) -> float:
    """The unbiased estimate of (1) from x (N, D) and y (M, D), at least 2 rows each; memory O(chunk max(N, M))."""
    x, y = feature_pair(x, y, least=2)
    centre = x.mean(dim=0)
    x, y = x - centre, y - centre
    n, m = len(x), len(y)
    across = _sum_of_distances(x, y, chunk) / (n * m)
    within_x = _sum_of_distances(x, x, chunk) / (n * (n - 1))
    within_y = _sum_of_distances(y, y, chunk) / (m * (m - 1))
    return 2 * across - within_x - within_y


def _sum_of_distances(x: Tensor, y: Tensor, chunk: int) -> float:
    """The sum of |x_i - y_j| over all i and j; with y = x the diagonal is zero up to rounding, about 1e-8 |x_i|."""
    return float(sum(torch.cdist(rows, y).sum() for rows in x.split(chunk)))
