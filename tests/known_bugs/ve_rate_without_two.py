"""g^2 = d(sigma^2)/dt = 2 sigma sigma' without its 2: the derivative of sigma taken for that of sigma^2."""

from __future__ import annotations

from sde_diffusion.sde import VE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "moment equation of the variance: d(sigma^2)/dt = 2 f sigma^2 + g^2", r"g is sqrt\(2\) times too small"


class Halved(VE):
    def g(self, t):
        return super().g(t) / 2**0.5


def report():
    return check_sde(Halved())
