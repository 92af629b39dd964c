"""A drift written with `math`: it takes one float, never a batch of states."""

from __future__ import annotations

import math

from sde_diffusion.sde import SDE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "batch independence", r"takes floats alone \(math\)"


class Pendulum(SDE):
    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        return -math.sin(x) * x.new_ones(x.shape)

    def diffusion(self, t):
        return 1.0


def report():
    return check_sde(Pendulum())
