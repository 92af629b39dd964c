"""Noise that depends on the state: the reversal against an equilibrium that is known, and the slope of the noise."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.reversal import probability_flow, reverse_sde
from sde_diffusion.sde import StateDependentSDE
from sde_diffusion.sde.prior import GaussianPrior
from solvers import DiagonalSDE, EulerMaruyama, FixedGrid
from solvers.wiener import FreshIncrements
from tests.known_bugs.stratonovich_drift import Equilibrium

PRIOR = GaussianPrior(0.0, 1.0)


def score(x, t):
    return -x


@pytest.mark.parametrize("shape", [(5, 1), (4, 2, 3)])
def test_the_flow_of_an_equilibrium_stands_still(shape):
    flow = probability_flow(Equilibrium(), score, prior=PRIOR).equation
    x = torch.linspace(-2, 2, math.prod(shape), dtype=torch.float64).reshape(shape)
    assert flow.drift(x, 0.3) == pytest.approx(torch.zeros(shape, dtype=torch.float64), abs=1e-12)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_the_reverse_sde_keeps_an_equilibrium(eta):
    """Its first four moments after a unit of time, within five standard errors and the bias of 200 steps."""
    back = reverse_sde(Equilibrium(), score, eta, prior=PRIOR).equation
    assert isinstance(back, DiagonalSDE)
    n = 20_000
    x = torch.randn(n, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = FixedGrid(EulerMaruyama(), 200)(back, x, 1.0, 0.0, FreshIncrements.like(x, 1, 1.0, 0.0))
    for power, exact, deviation in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert (x**power).mean().item() == pytest.approx(exact, abs=5 * deviation / n**0.5 + 0.02 * power)


def test_the_slope_of_the_noise_is_coordinate_by_coordinate():
    """d(g_i^2)/dx_i where g_i depends on the other coordinates too, in any event shape."""

    class Mixed(StateDependentSDE):
        horizon, t_min = 1.0, 0.0

        def drift(self, x, t):
            return -x

        def diffusion(self, x, t):
            return x * (1 + x.flip(-1) ** 2) ** 0.5

    x = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert Mixed().noise_slope(x, 0.1) == pytest.approx(2 * x * (1 + x.flip(-1) ** 2))
