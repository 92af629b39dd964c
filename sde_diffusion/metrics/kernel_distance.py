r"""The kernel distance (KID): the squared maximum mean discrepancy with a cubic kernel, without bias.

    k(x, y) = (x . y / D + 1)^3,    x, y in R^D                                                                 (1)

It sees the first three moments of the features, and nothing else. The estimate is that of `pair_sums`: its mean is that
of the distributions at any number of samples, where a Frechet distance is too large by O(1/N); about half of its values
are below zero for equal distributions.

References:
    Binkowski et al., Demystifying MMD GANs, 2018, https://arxiv.org/abs/1801.01401, section 4 and equation (4)
"""

from __future__ import annotations

from torch import Tensor

from sde_diffusion.metrics.estimate import Estimate, from_error
from sde_diffusion.metrics.features import feature_pair
from sde_diffusion.metrics.pair_sums import PairSums


def kernel_distance(x: Tensor, y: Tensor, chunk: int = 2048) -> float:
    """The unbiased estimate from x (N, D) and y (M, D), at least 2 rows each; memory O(chunk^2 + N + M)."""
    return PairSums.of(_cubic, *feature_pair(x, y, least=2), chunk).value


def estimate_kernel_distance(x: Tensor, y: Tensor, level: float = 0.95, chunk: int = 2048) -> Estimate:
    """The same, from at least 3 rows each, with the normal interval of the jackknife's standard error."""
    found = PairSums.of(_cubic, *feature_pair(x, y, least=3), chunk)
    return from_error(found.value, found.error, len(x), level=level)


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    """Equation (1) for every pair of rows, (n, m)."""
    return (x @ y.mT).div_(x.shape[1]).add_(1).pow_(3)
