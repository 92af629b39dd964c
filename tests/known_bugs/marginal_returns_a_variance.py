"""marginal() returns (mean, variance), and its callers multiply noise by the second."""

from __future__ import annotations

from sde_diffusion.sde import SubVP
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "marginal is N(alpha x_0, sigma^2)", r"marginal's std is squared"


class Variance(SubVP):
    def marginal(self, x0, t):
        mean, std = super().marginal(x0, t)
        return mean, std**2


def report():
    return check_sde(Variance())
