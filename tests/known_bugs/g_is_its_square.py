"""diffusion() returns g^2 = beta: a word that lies, and every caller who believes it squares it once more."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "moment equation of the variance: d(sigma^2)/dt = 2 f sigma^2 + g^2", r"^g is squared"


class Squared(VP):
    def g(self, t):
        return self.beta(t)


def report():
    return check_sde(Squared())
