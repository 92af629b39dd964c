"""The same in two dimensions, where the coordinates turn and the noise of one depends on the other too."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.sde import StateDependentSDE
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "reverse SDE returns the law", r"leaves out d\(g\^2\)/dx"
MARKS = [pytest.mark.slow]


class Turning(StateDependentSDE):
    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        a, b = x.unbind(1)
        return torch.stack([2 * b - a, -2 * a - b], 1)

    def diffusion(self, x, t):
        return (0.3 + x**2 / 2 + x.flip(1) ** 2 / 4).sqrt()


class Additive(Turning):
    def reverse_drift(self, model, x, t, weight):
        return self.drift(x, t) - weight * self.diffusion(x, t) ** 2 * self.score(model, x, t)


def report():
    return check_sde(Additive())


def sound():
    return check_sde(Turning())
