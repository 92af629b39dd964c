"""A drift towards the mean of the batch, where the mean of the law was meant: neighbours pull at each other."""

from __future__ import annotations

from sde_diffusion.sde import SDE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "drift does not depend on the batch", r"a mean or a norm over the batch"


class Herd(SDE):
    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        return x.mean(0) - x

    def diffusion(self, t):
        return 1.0


def report():
    return check_sde(Herd())
