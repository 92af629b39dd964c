"""A drift from a text in Stratonovich's sense, simulated by Ito's rule: its equilibrium is another."""

from __future__ import annotations

from sde_diffusion.sde import StateDependentSDE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "the claimed law solves the Fokker-Planck equation", r"the drift is Stratonovich's"


class Equilibrium(StateDependentSDE):
    """N(0, I) under g^2 = 1 + x^2/2: drift = 1/2 (d(g^2) - g^2 x)."""

    horizon, t_min = 1.0, 0.0
    missing = 0.0

    def drift(self, x, t):
        return -(x**3) / 4 - self.missing * x / 4

    def diffusion(self, x, t):
        return (1 + x**2 / 2).sqrt()

    def log_prob(self, x, t):
        return -(x**2).sum(1) / 2


class Stratonovich(Equilibrium):
    missing = 1.0


def report():
    return check_sde(Stratonovich())


def sound():
    return check_sde(Equilibrium())
