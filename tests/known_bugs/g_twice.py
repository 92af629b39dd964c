"""g is twice too large: the reverse process gets four times its noise. Seen where sqrt(beta) is written as 2 sqrt(beta/4)."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "moment equation of the variance: d(sigma^2)/dt = 2 f sigma^2 + g^2", r"g is twice too large"


class Doubled(VP):
    def g(self, t):
        return 2 * super().g(t)


def report():
    return check_sde(Doubled())
