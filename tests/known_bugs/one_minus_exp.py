"""sqrt(1 - exp(-B)) in float32 keeps one digit or two where the process has hardly begun."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde
from solvers.elementary import exp, sqrt

CHECK, CAUSE = "float32 keeps the digits of alpha and sigma", r"cancels: write sigma with -expm1"


class Cancels(VP):
    def sigma(self, t):
        return sqrt(1 - exp(-self.integral(t)))


def report():
    return check_sde(Cancels())
