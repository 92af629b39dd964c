"""g is right, and diffusion(), which the solvers ask, returns its square."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "simulated forward law is the closed form", r"diffusion\(\) is squared"


class Squared(VP):
    def diffusion(self, t):
        return self.g(t) ** 2


def report():
    return check_sde(Squared())
