r"""Tests on samples: how unlikely a difference is, and how small a fault would be detected.

A report of m figures at the significance FAMILY gives each of them FAMILY/m (Bonferroni). A mean of n
independent numbers fails when it is further than

    q(FAMILY/m) standard errors                                                                                  (1)

from what it should be, q the two-sided normal quantile; a fault of q + 1.28 standard errors is found nine times out of
ten, and that size is the power reported. An empirical distribution function fails beyond sqrt(log(2/p)/(2 n)), which
holds for every n (2).

References:
    Massart, The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, 1990,
        https://doi.org/10.1214/aop/1176990746
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from torch import Tensor

FAMILY = 1e-5
"""The probability that a report on a faultless subject holds a false alarm from sampling."""

NINE_OF_TEN = NormalDist().inv_cdf(0.9)


@dataclass(frozen=True)
class Mean:
    """A sample mean beside its expectation: the difference in standard errors, and the standard error."""

    deviation: float
    error: float

    def power(self, figures: int) -> float:
        """The size of a fault that is found nine times out of ten, in the units of the mean."""
        return (quantile(figures) + NINE_OF_TEN) * self.error


def mean_of(values: Tensor, expected: float = 0.0) -> Mean:
    """The mean of independent numbers (n,) against its expectation; (0, 0) where both agree without scatter."""
    gap = values.double().mean().item() - expected
    error = values.double().std().item() / math.sqrt(len(values))
    return Mean(gap / error if error else (math.inf if gap else 0.0), error)


def quantile(figures: int) -> float:
    """Equation (1) for one of `figures` figures."""
    return NormalDist().inv_cdf(1 - FAMILY / figures / 2)


def band(samples: int, figures: int) -> float:
    """Equation (2): how far an empirical distribution function may lie from the true one."""
    return math.sqrt(math.log(2 * figures / FAMILY) / (2 * samples))
