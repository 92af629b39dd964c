"""alphas_cumprod[t + 1] where alphas_cumprod[t] belongs: the kernel is that of the next of 1000 steps."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "moment equation of the mean: d(log alpha)/dt = f", r"of a time 0\.001 later"


class Next(VP):
    def alpha(self, t):
        return super().alpha(t + 1e-3)

    def sigma(self, t):
        return super().sigma(t + 1e-3)


def report():
    return check_sde(Next())
