"""f = -beta where -beta/2 belongs: the mean decays like the variance."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "moment equation of the mean: d(log alpha)/dt = f", r"^f is twice too large"


class Fast(VP):
    def f(self, t):
        return -self.beta(t)


def report():
    return check_sde(Fast())
