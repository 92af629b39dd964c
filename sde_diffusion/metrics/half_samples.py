r"""The standard error of any statistic, by random halves of the samples without replacement.

    s^2 = r/(n - r) times the variance of the statistic of r = floor(n/2) of n rows, over the halves                         (1)

A resample with replacement holds rows twice, each its own nearest neighbour at distance zero, so that a statistic of
nearest neighbours has no bootstrap; halves have no such rows, and (1) is right for statistics that the delete-one
jackknife fails. It measures the deviation at half the samples and scales it as 1/sqrt(n).

References:
    Shao & Wu, A General Theory for Jackknife Variance Estimation, 1989, https://doi.org/10.1214/aos/1176347263
    Politis, Romano & Wolf, Subsampling, 1999, https://doi.org/10.1007/978-1-4612-1554-7
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def half_sample_errors(
    metric: Callable[..., Sequence[float]], *samples: Tensor, resamples: int = 200, seed: int = 0
) -> Tensor:
    """The standard error of each of the K numbers that metric(*samples) returns, float64 (K,).

    Each sample (N_i, *E) is halved by rows on its own. ValueError for a sample of less than 4 rows or 1 resample.
    """
    if not samples or min(map(len, samples)) < 4 or resamples < 2:
        raise ValueError(
            f"halves are taken of at least 4 rows, at least 2 times, got {[len(x) for x in samples]} rows and "
            f"{resamples} resamples; give more"
        )
    generator = torch.Generator().manual_seed(seed)
    found = [list(metric(*(_half(sample, generator) for sample in samples))) for _ in range(resamples)]
    kept, whole = zip(*((len(x) // 2, len(x)) for x in samples), strict=True)
    scale = sum(kept) / (sum(whole) - sum(kept))
    return torch.tensor(found, dtype=torch.float64).std(dim=0) * scale**0.5


def _half(sample: Tensor, generator: torch.Generator) -> Tensor:
    rows = torch.randperm(len(sample), generator=generator)[: len(sample) // 2]
    return sample[rows.to(sample.device)]
