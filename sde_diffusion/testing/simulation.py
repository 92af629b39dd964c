"""How a process without closed forms is run: where it starts, by which method, and how many coordinates it takes."""

from __future__ import annotations

import torch

from sde_diffusion.sde.base import SDE
from solvers.equations import Equation, ItoSDE
from solvers.integrate import FixedGrid
from solvers.methods.euler_maruyama import EulerMaruyama
from solvers.methods.stochastic_heun import StochasticHeun

START = (0.3, 0.5)
"""Mean and standard deviation of every coordinate at t = 0."""

MOST = 3


def solver_of(equation: Equation, steps: int) -> FixedGrid:
    """Heun's method for additive noise, Euler and Maruyama's for diagonal noise."""
    return FixedGrid(StochasticHeun() if isinstance(equation, ItoSDE) else EulerMaruyama(), steps)


def coordinates(sde: SDE) -> int:
    """The smallest number of coordinates, up to three, that the drift takes and returns; 1 where there is none."""
    return next((d for d in range(1, MOST + 1) if _takes(sde, d)), 1)


def _takes(sde: SDE, d: int) -> bool:
    x = torch.full((1, d), 0.1, dtype=torch.float64)
    try:
        return sde.drift(x, sde.horizon / 2).shape == x.shape
    except (IndexError, RuntimeError, ValueError, TypeError):
        return False
