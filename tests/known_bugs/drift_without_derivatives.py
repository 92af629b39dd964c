"""A drift computed by numpy: its values are right, its derivatives are gone."""

from __future__ import annotations

import numpy as np
import torch

from sde_diffusion.sde import SDE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "drift has derivatives in x", r"takes floats alone \(math\)"


class Pendulum(SDE):
    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        return torch.from_numpy(-np.sin(x.detach().numpy()))

    def diffusion(self, t):
        return 1.0


def report():
    return check_sde(Pendulum())
