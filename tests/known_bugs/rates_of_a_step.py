"""beta in units of a chain's step (1e-4 .. 0.02) in an equation whose time runs from 0 to 1: 1000 times too little noise."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde
from solvers.elementary import sqrt

CHECK, CAUSE = (
    "moment equation of the mean: d(log alpha)/dt = f",
    r"f and g\^2 are 0\.001 times too large: rates of a step",
)


class PerStep(VP):
    def f(self, t):
        return -0.5 * self.beta(t) / 1000

    def g(self, t):
        return sqrt(self.beta(t) / 1000)


def report():
    return check_sde(PerStep())
