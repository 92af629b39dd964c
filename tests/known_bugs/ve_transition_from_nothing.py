"""VE's transition from s to t adds all of sigma_t: the noise that x_s has already is counted twice."""

from __future__ import annotations

from sde_diffusion.kernel import Kernel
from sde_diffusion.sde import VE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "transitions compose", r"counted twice"


class Forgetful(VE):
    def transition(self, t, s):
        return Kernel(self.alpha(t) / self.alpha(s), self.sigma(t))


def report():
    return check_sde(Forgetful())
