"""A drift towards the batch's own centre: the paths of one sample depend on how many others are simulated with it."""

from __future__ import annotations

import torch

from sde_diffusion.sde import SDE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "simulated law solves the Fokker-Planck equation", r"depend on the batch"


class Centred(SDE):
    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        a, b = (x - x.mean(0)).unbind(1)
        return torch.stack([-a + b, -b - a**3], 1)

    def diffusion(self, t):
        return 0.7


def report():
    return check_sde(Centred())
