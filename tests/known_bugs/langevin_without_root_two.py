"""Langevin dynamics dx = grad log p dt + dW, without sqrt(2): its equilibrium is p^2, narrower by sqrt(2)."""

from __future__ import annotations

from sde_diffusion.sde import SDE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "the claimed law solves the Fokker-Planck equation", r"sqrt\(2\) is missing"


class Langevin(SDE):
    """The equilibrium of exp(x^2 - x^4/2)."""

    horizon, t_min = 2.0, 0.0
    factor = 2**0.5

    def drift(self, x, t):
        return 2 * x - 2 * x**3

    def diffusion(self, t):
        return self.factor

    def log_prob(self, x, t):
        return (x**2 - x**4 / 2).sum(1)


class Colder(Langevin):
    factor = 1.0


def report():
    return check_sde(Colder())


def sound():
    return check_sde(Langevin())
