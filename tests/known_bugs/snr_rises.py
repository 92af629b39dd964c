"""A schedule through points by a cubic that overshoots: for a while the process takes noise away."""

from __future__ import annotations

from sde_diffusion.sde import EDM
from sde_diffusion.testing import check_sde
from solvers.elementary import sin

CHECK, CAUSE = "log-SNR falls", r"takes noise away"


class Overshoots(EDM):
    def sigma(self, t):
        return t * (1 + 0.4 * sin(t))


def report():
    return check_sde(Overshoots())
