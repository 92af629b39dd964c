r"""Bootstrap intervals: the spread of a metric over samples resampled from themselves with replacement.

With v the metric of the samples, r_p the p-quantile of its resampled values and r their mean, the interval is

    [v - (r_{1 - a/2} - r),  v - (r_{a/2} - r)],    a = 1 - level                                              (1)

It covers the metric's expectation at these sample sizes. It is the basic bootstrap interval less the resampling bias
r - v, which repeated rows cause and which differs from the bias of v: an energy distance has none, a Frechet distance
is too large by O(1/N) and compares only with others of the same N. Where the two distributions are equal a distance is at its
minimum and (1) is too wide; a permutation test is then the right question.

References:
    Davison & Hinkley, Bootstrap Methods and their Application, 1997, https://doi.org/10.1017/CBO9780511802843,
        section 5.2.1
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sde_diffusion.metrics.estimate import Estimate


def bootstrap(
    metric: Callable[..., float], *samples: Tensor, resamples: int = 200, level: float = 0.95, seed: int = 0
) -> Estimate:
    """metric(*samples) with the interval (1); each sample (N_i, *E) is resampled by rows on its own.

    `n` of the estimate is the size of the first sample. ValueError for an empty sample or a level outside (0, 1).
    """
    if not samples or any(len(sample) == 0 for sample in samples):
        raise ValueError("the bootstrap needs at least one sample, and none of them empty")
    if resamples < 2 or not 0 < level < 1:
        raise ValueError(f"resamples is at least 2 and level in (0, 1), got {resamples} and {level}")
    generator = torch.Generator().manual_seed(seed)
    again = [metric(*(_resampled(sample, generator) for sample in samples)) for _ in range(resamples)]
    low, high = _centred_quantiles(torch.tensor(again, dtype=torch.float64), (1 - level) / 2)
    value = float(metric(*samples))
    return Estimate(value, value - high, value - low, len(samples[0]), seed)


def _centred_quantiles(again: Tensor, tail: float) -> tuple[float, float]:
    """The quantiles `tail` and 1 - `tail` of the resampled values, less their mean."""
    low, high = torch.quantile(again - again.mean(), again.new_tensor([tail, 1 - tail])).tolist()
    return low, high


def _resampled(sample: Tensor, generator: torch.Generator) -> Tensor:
    rows = torch.randint(len(sample), (len(sample),), generator=generator)
    return sample[rows.to(sample.device)]
