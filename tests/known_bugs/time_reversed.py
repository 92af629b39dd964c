"""The schedule's clock runs from noise to data and its rates from data to noise: beta(T - t) beside B(t)."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde
from solvers.elementary import sqrt

CHECK, CAUSE = "moment equation of the mean: d(log alpha)/dt = f", r"run backwards in time"


class Backwards(VP):
    def f(self, t):
        return -0.5 * self.beta(self.horizon - t)

    def g(self, t):
        return sqrt(self.beta(self.horizon - t))


def report():
    return check_sde(Backwards())
