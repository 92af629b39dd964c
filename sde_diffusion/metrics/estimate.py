"""A measured number with its confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Estimate:
    """`value` from `n` samples with the confidence interval [`low`, `high`]; `seed` is that of the resampling.

    `seed` is None where nothing was resampled.
    """

    value: float
    low: float
    high: float
    n: int
    seed: int | None

    def __contains__(self, truth: float) -> bool:
        return self.low <= truth <= self.high

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def normal_quantile(level: float) -> float:
    """z with P(|Z| <= z) = `level` for a standard normal Z; `level` in (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies in (0, 1), got {level}; 0.95 is usual")
    return NormalDist().inv_cdf((1 + level) / 2)


def from_error(value: float, error: float, n: int, seed: int | None = None, level: float = 0.95) -> Estimate:
    """The value with the normal interval of a standard error."""
    half = normal_quantile(level) * error
    return Estimate(value, value - half, value + half, n, seed)


def from_share(share: float, count: float, n: int, seed: int | None = None, level: float = 0.95) -> Estimate:
    r"""A share with Wilson's interval for `count` independent trials; it lies in [0, 1] and never has width 0.

        (p + z^2/(2 n) +- z (p (1 - p)/n + z^2/(4 n^2))^{1/2}) / (1 + z^2/n)

    References:
        Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927,
            https://doi.org/10.1080/01621459.1927.10502953
    """
    if not 0 <= share <= 1 or not count > 0:
        raise ValueError(f"a share lies in [0, 1] and comes of a positive count, got {share} and {count}; correct them")
    z = normal_quantile(level)
    middle = share + z**2 / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    low, high = ((middle + side) / (1 + z**2 / count) for side in (-half, half))
    return Estimate(share, min(max(low, 0.0), share), max(min(high, 1.0), share), n, seed)
