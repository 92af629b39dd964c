"""What exponential methods promise beyond an order: with a constant forcing there is no error at all, on any grid."""

from __future__ import annotations

import math

import pytest
import torch

from solvers import FixedGrid, Method, SemilinearODE, SemilinearSDE, fixed
from solvers.methods import METHODS
from solvers.testing.paths import Impulses

FORCING, VOLATILITY = 0.9, 1.4
GRIDS = [[0.2, 1.7], [0.2, 0.3, 1.1, 1.7], [1.7, 0.2], [1.7, 1.6, 0.5, 0.2]]


def spread(rate: float):
    """The deviation of the integral of e^{rate (s - tau)} VOLATILITY dW, in either direction."""
    return lambda t, s: VOLATILITY * math.sqrt(abs(math.expm1(2 * rate * (s - t)) / (2 * rate)))


def exact(rate: float, grid, x0: float) -> tuple[float, float]:
    span = grid[-1] - grid[0]
    return math.exp(rate * span) * x0 + math.expm1(rate * span) / rate * FORCING, spread(rate)(grid[0], grid[-1]) ** 2


def methods_for(kind: type) -> list[Method]:
    return [method for method in METHODS if kind in method.orders]


@pytest.mark.parametrize("rate", [-1.5, 0.7, 1.0])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("method", methods_for(SemilinearODE), ids=repr)
def test_the_linear_part_is_exact(method, grid, rate):
    equation = SemilinearODE(rate, lambda x, t: torch.full_like(x, FORCING))
    x = torch.full((1, 1), 0.4, dtype=torch.float64)
    x = FixedGrid(method, len(grid) - 1, fixed(grid))(equation, x, grid[0], grid[-1])
    assert x.item() == pytest.approx(exact(rate, grid, 0.4)[0], rel=1e-9)


@pytest.mark.parametrize("rate", [-1.5, 0.7, 1.0])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("method", methods_for(SemilinearSDE), ids=repr)
def test_the_noise_is_exact_in_law(method, grid, rate):
    """Exact mean and variance by impulses: no increment is random."""
    equation = SemilinearSDE(rate, lambda x, t: torch.full_like(x, FORCING), spread(rate))
    path = Impulses(torch.tensor(grid, dtype=torch.float64))
    x = torch.full((path.batch, 1), 0.4, dtype=torch.float64)
    x = FixedGrid(method, len(grid) - 1, fixed(grid))(equation, x, grid[0], grid[-1], path)
    mean, variance = exact(rate, grid, 0.4)
    assert path.moments(x) == (pytest.approx(mean, rel=1e-9), pytest.approx(variance, rel=1e-9))
