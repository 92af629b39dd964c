"""Churn is algorithm 2 of Karras et al., number for number: on a linear flow its mean and variance are a recursion."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from solvers import FixedGrid, fixed
from solvers.equations import RenoisedODE
from solvers.methods.churn import Churn
from solvers.methods.heun import Heun
from solvers.methods.rk4 import RK4
from solvers.testing.paths import Impulses

LEVELS = [9.0, 5.0, 3.1, 1.2, 0.5]
MEAN, VARIANCE = 0.6, 0.5


def slope(x, level):
    """(x - E[x_0 | x])/level for data from N(MEAN, VARIANCE)."""
    return (x - (VARIANCE * x + level**2 * MEAN) / (VARIANCE + level**2)) / level


def algorithm_2(churn: float, step) -> tuple[float, float]:
    """Mean and variance of the paper's loop from x = 2 with S_noise = 1 and no bounds; `step` is linear in x."""
    mean, variance, count = 2.0, 0.0, len(LEVELS) - 1
    for level, after in pairwise(LEVELS):
        up = level + min(churn / count, math.sqrt(2) - 1) * level
        variance += up**2 - level**2
        centre, deviated = step(mean, up, after), step(mean + 1.0, up, after)
        mean, variance = centre, (deviated - centre) ** 2 * variance
    return mean, variance


def heun(x: float, up: float, after: float) -> float:
    d = slope(x, up)
    return x + (after - up) * (d / 2 + slope(x + (after - up) * d, after) / 2)


def kutta(x: float, up: float, after: float) -> float:
    h, middle = after - up, (up + after) / 2
    a = slope(x, up)
    b = slope(x + h / 2 * a, middle)
    c = slope(x + h / 2 * b, middle)
    return x + h / 6 * (a + 2 * b + 2 * c + slope(x + h * c, after))


@pytest.mark.parametrize("churn", [0.0, 0.4, 1.5, 40.0])
@pytest.mark.parametrize(("inner", "step"), [(Heun(), heun), (RK4(), kutta)], ids=["heun", "rk4"])
def test_churn_is_the_algorithm_of_the_paper(churn, inner, step):
    path = Impulses(torch.tensor(LEVELS, dtype=torch.float64))
    equation = RenoisedODE(slope, lambda level, up: math.sqrt(up**2 - level**2))
    x = torch.full((path.batch, 1), 2.0, dtype=torch.float64)
    x = FixedGrid(Churn(churn, inner), len(LEVELS) - 1, fixed(LEVELS))(equation, x, LEVELS[0], LEVELS[-1], path)
    mean, variance = algorithm_2(churn, step)
    assert path.moments(x) == (pytest.approx(mean, rel=1e-9), pytest.approx(variance, rel=1e-9, abs=1e-12))
