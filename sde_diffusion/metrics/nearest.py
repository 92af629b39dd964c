"""The nearest training example of each sample: the distance shows memorised training data."""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.metrics.features import feature_pair


def nearest(x: Tensor, train: Tensor, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """Euclidean distances (N,) float64 and rows (N,) int64 of the nearest of train (M, D) to each of x (N, D).

    The distance to the row found is computed again by subtraction: a copy is at distance 0, not at a rounding error.
    Memory is O(chunk M).
    """
    x, train = feature_pair(x, train)
    centre = train.mean(dim=0)
    rows = torch.cat([torch.cdist(part - centre, train - centre).argmin(dim=1) for part in x.split(chunk)])
    return (x - train[rows]).norm(dim=1), rows


def copied_share(x: Tensor, train: Tensor, held_out: Tensor, quantile: float = 0.01) -> float:
    """The share of x nearer to a training example than the `quantile` of the held-out data are.

    About `quantile` for a model without memorisation, 1 for one that repeats its training data. All are (., D).
    """
    usual = torch.quantile(nearest(held_out, train)[0], quantile)
    return float((nearest(x, train)[0] < usual).double().mean())
