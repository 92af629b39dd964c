"""Markov chains leave their density invariant, whatever the step; a chain without the acceptance does not."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.exact.problems import two
from solvers import Density, FixedGrid, KeyedIncrements
from solvers.methods import METHODS
from solvers.methods.metropolis import MALA, Hamiltonian, Metropolis

LAW = two()
EQUATION = Density(LAW.log_prob, LAW.score)
CHAINS = [m for m in METHODS if isinstance(m, Metropolis)]
N = 20_000


def walk(method, h: float, steps: int, x):
    path = KeyedIncrements.like(x, seed=4, start=0.0, stop=h * steps)
    return FixedGrid(method, steps)(EQUATION, x, 0.0, h * steps, path)


def gap(x) -> float:
    """|mean log p - exact mean log p| in units of its standard error."""
    log_prob = LAW.log_prob(x)
    exact = LAW.log_prob(LAW.sample(400_000, torch.Generator().manual_seed(77))).mean()
    return abs(log_prob.mean() - exact).item() / (log_prob.std().item() / math.sqrt(len(x)))


@pytest.mark.parametrize("h", [0.002, 0.03])
@pytest.mark.parametrize("method", CHAINS, ids=repr)
def test_the_density_is_invariant(method, h):
    """20000 chains from the exact law, 15 steps, a small and a coarse step: within 4.5 standard errors (p = 7e-6 each)."""
    start = LAW.sample(N, torch.Generator().manual_seed(1))
    end = walk(method, h, 15, start)
    assert (end != start).any(1).double().mean() > 0.5, "the chain does not move"
    assert gap(end) < 4.5


def test_without_the_acceptance_the_coarse_step_shows():
    """The power of the test above: the same MALA step, always accepted, is far off."""

    class Unadjusted(MALA):
        def propose(self, equation, x, h, z):
            proposal, log_ratio = super().propose(equation, x, h, z)
            return proposal, torch.full_like(log_ratio, torch.inf)

    assert gap(walk(Unadjusted(), 0.03, 15, LAW.sample(N, torch.Generator().manual_seed(1)))) > 20


def test_hamiltonian_leaps_nearly_conserve_energy():
    """The leapfrog error of the energy is of order h, the square of the leap."""
    x = LAW.sample(200, torch.Generator().manual_seed(2))
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    errors = [
        Hamiltonian(leaps).propose(EQUATION, x, h, z)[1].abs().mean().item() for h, leaps in ((1e-4, 4), (2.5e-5, 8))
    ]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)


def test_no_leap_is_refused():
    with pytest.raises(ValueError, match="at least one leap"):
        Hamiltonian(0)
