r"""The energy distance: zero exactly when the distributions are equal, without features, bandwidths or densities.

    E(p, q) = 2 E|X - Y| - E|X - X'| - E|Y - Y'|,    X, X' ~ p and Y, Y' ~ q independent                      (1)

It is the discrepancy of `pair_sums` with the kernel -|x - y|: unbiased, about half of its values are below zero for equal
distributions.

References:
    Szekely & Rizzo, Energy Statistics: A Class of Statistics Based on Distances, 2013,
        https://doi.org/10.1016/j.jspi.2013.03.018
    Sejdinovic et al., Equivalence of Distance-based and RKHS-based Statistics in Hypothesis Testing, 2013,
        https://arxiv.org/abs/1207.6076: the kernel
"""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.metrics.estimate import Estimate, from_error
from sde_diffusion.metrics.features import feature_pair
from sde_diffusion.metrics.pair_sums import PairSums


def energy_distance(x: Tensor, y: Tensor, chunk: int = 2048) -> float:
    """The unbiased estimate of (1) from x (N, D) and y (M, D), at least 2 rows each; memory O(chunk^2 + N + M)."""
    return _sums(*feature_pair(x, y, least=2), chunk).value


def estimate_energy_distance(x: Tensor, y: Tensor, level: float = 0.95, chunk: int = 2048) -> Estimate:
    """The same, from at least 3 rows each, with the normal interval of the jackknife's standard error."""
    found = _sums(*feature_pair(x, y, least=3), chunk)
    return from_error(found.value, found.error, len(x), level=level)


def _sums(x: Tensor, y: Tensor, chunk: int) -> PairSums:
    centre = x.mean(dim=0)
    return PairSums.of(_minus_distance, x - centre, y - centre, chunk)


def _minus_distance(x: Tensor, y: Tensor) -> Tensor:
    return -torch.cdist(x, y)
