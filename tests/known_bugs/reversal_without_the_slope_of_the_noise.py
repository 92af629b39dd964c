"""Anderson's formula for additive noise, taken for noise that depends on the state: d(g^2)/dx is left out."""

from __future__ import annotations

from sde_diffusion.testing import check_sde
from tests.known_bugs.stratonovich_drift import Equilibrium

CHECK, CAUSE = "probability flow keeps the law", r"leaves out d\(g\^2\)/dx"


class Additive(Equilibrium):
    def reverse_drift(self, model, x, t, weight):
        return self.drift(x, t) - weight * self.diffusion(x, t) ** 2 * self.score(model, x, t)


def report():
    return check_sde(Additive())
