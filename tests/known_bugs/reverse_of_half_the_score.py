"""The reverse SDE of a process with a nonlinear drift, written with the flow's half of the score."""

from __future__ import annotations

from sde_diffusion.sde import SDE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "reverse SDE returns the law", r"as the reversal sees them"


class Relaxing(SDE):
    """Towards zero, faster from afar; the noise grows."""

    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        return -0.5 * x - 0.2 * x**3

    def diffusion(self, t):
        return 0.6 + 0.5 * t


class Half(Relaxing):
    def reverse_drift(self, model, x, t, weight):
        return super().reverse_drift(model, x, t, 0.5)


def report():
    return check_sde(Half())


def sound():
    return check_sde(Relaxing())
