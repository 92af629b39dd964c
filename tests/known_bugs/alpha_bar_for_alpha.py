"""alpha_bar, the cumulative product of 1 - beta, is taken for the scale of the data, which is its square root."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde
from solvers.elementary import exp

CHECK, CAUSE = "moment equation of the mean: d(log alpha)/dt = f", r"alpha is squared: alpha_bar"


class Product(VP):
    def alpha(self, t):
        return exp(-self.integral(t))


def report():
    return check_sde(Product())
