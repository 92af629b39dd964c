"""VE says that it starts at the data, and its sigma jumps to sigma_min at once: simulated paths lack that variance."""

from __future__ import annotations

import torch

from sde_diffusion.sde import VE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "sigma is continuous at t = 0", r"starts with noise"


class Clean(VE):
    def sigma(self, t):
        noise = super().sigma(t)
        return torch.where(t == 0, 0.0, noise) if isinstance(t, torch.Tensor) else (0.0 if t == 0 else noise)


def report():
    return check_sde(Clean())
