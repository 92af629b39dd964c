r"""Tests on samples: how unlikely a difference is, and how small a fault would be detected.

A report of m figures at the significance FAMILY gives each of them FAMILY/m (Bonferroni). A mean of n
independent numbers fails when it is further than

    q(FAMILY/m) standard errors                                                                                  (1)

from what it should be, q the two-sided quantile of Student's distribution of n/(k - 1) degrees of freedom for numbers of
kurtosis k. (The variance is known as well as that of 2 n/(k - 1) normal numbers; a sample's kurtosis is itself too low.)
Numbers of skewness c have fewer of their rare large values in a sample than they should: the standard error is then too
small, and a deviation t counts as

    t + c t^2/(3 sqrt(n)) + c^2 t^3/(27 n) + c/(6 sqrt(n))    (Hall)                                              (2)

where that is nearer to zero. A fault of q + 1.28 standard errors is found nine times out of ten, and that size is the
power reported. An empirical distribution function fails beyond sqrt(log(2/p)/(2 n)), which holds for every n (3).

References:
    Hall, On the removal of skewness by transformation, 1992, https://doi.org/10.1111/j.2517-6161.1992.tb01876.x
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
    """A sample mean beside its expectation: the difference in standard errors, the standard error, its degrees of freedom."""

    deviation: float
    error: float
    freedom: float

    def share(self, figures: int) -> float:
        """The deviation in units of what is allowed for one of `figures` figures: a fault above 1."""
        return abs(self.deviation) / quantile(figures, self.freedom)

    def power(self, figures: int) -> float:
        """The size of a fault that is found nine times out of ten, in the units of the mean."""
        return (quantile(figures, self.freedom) + NINE_OF_TEN) * self.error


def mean_of(values: Tensor, expected: float = 0.0) -> Mean:
    """The mean of independent numbers (n,) against its expectation, by (2); (0, 0) where both agree without scatter."""
    x = values.double()
    gap, error = x.mean().item() - expected, x.std().item() / math.sqrt(len(x))
    if not error:
        return Mean(math.inf if gap else 0.0, error, len(x) - 1)
    z = (x - x.mean()) / x.std()
    moved = _without_skewness(gap / error, z.pow(3).mean().item() / math.sqrt(len(x)))
    freedom = len(x) / max(z.pow(4).mean().item() - 1, 2.0)
    return Mean(min(gap / error, moved, key=abs), error, max(freedom, 3.0))


def _without_skewness(t: float, c: float) -> float:
    """Equation (2); c is the skewness over the root of the number of values."""
    return t + c * t**2 / 3 + c**2 * t**3 / 27 + c / 6


def quantile(figures: int, freedom: float = math.inf) -> float:
    """Equation (1) for one of `figures` figures, by its expansion in 1/degrees of freedom; the normal's by default."""
    z, v = NormalDist().inv_cdf(1 - FAMILY / figures / 2), freedom
    return z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)


def band(samples: int, figures: int) -> float:
    """Equation (3): how far an empirical distribution function may lie from the true one."""
    return math.sqrt(math.log(2 * figures / FAMILY) / (2 * samples))
