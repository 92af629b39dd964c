"""sigma = 1 - alpha^2: the variance stands where the standard deviation belongs."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde
from solvers.elementary import expm1

CHECK, CAUSE = "moment equation of the variance: d(sigma^2)/dt = 2 f sigma^2 + g^2", r"sigma is squared: a variance"


class Variance(VP):
    def sigma(self, t):
        return -expm1(-self.integral(t))


def report():
    return check_sde(Variance())
