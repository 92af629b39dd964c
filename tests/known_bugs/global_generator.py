"""Noise from torch's global generator in the place of the path's: a sample depends on what else the program has drawn."""

from __future__ import annotations

import pytest
import torch

from solvers import EulerMaruyama
from solvers.testing import check_method

CHECK, CAUSE = "statelessness (ItoSDE)", r"draws from a generator of its own"

MARKS = [pytest.mark.global_rng]


class Draws(EulerMaruyama):
    def step(self, equation, x, t, s, path, state):
        noise = torch.randn(x.shape, dtype=x.dtype, generator=torch.default_generator) * abs(s - t) ** 0.5
        return x + (s - t) * equation.drift(x, t) + equation.diffusion(t) * noise, None


def report():
    return check_method(Draws())
