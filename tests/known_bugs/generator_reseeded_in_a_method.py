"""A method that seeds its generator in every step: the noise of all steps is one draw."""

from __future__ import annotations

import torch

from solvers import EulerMaruyama
from solvers.testing import check_method

CHECK, CAUSE = "exact for noise alone (ItoSDE, up)", r"one draw serves all steps"


class Reseeds(EulerMaruyama):
    def step(self, equation, x, t, s, path, state):
        noise = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0)) * abs(s - t) ** 0.5
        return x + (s - t) * equation.drift(x, t) + equation.diffusion(t) * noise, None


def report():
    return check_method(Reseeds())
