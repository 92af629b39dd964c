"""Orders of methods for diagonal noise, on equations whose solution is a function of the noise."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from solvers.testing.orders import AtSteps, Observed, from_errors, strong_order, weak_order
from solvers.testing.paths import FineWalk, Mirrored
from solvers.testing.problems import geometric_brownian, transformed


def strong_on_transformed(at: AtSteps, function: str) -> Observed:
    """`transformed(function)` against its solution on the same path, 4000 samples, from 32 to 128 steps."""
    path = FineWalk(4000, 0.0, 1.0, cells=128, seed=6)
    coarse, fine = (_errors(at, function, path, 4000, steps) for steps in (32, 128))
    twice = strong_order(coarse, fine)  # two halvings apart
    return Observed(twice.order / 2, twice.low / 2, twice.high / 2)


def weak_on_transformed(at: AtSteps, function: str) -> Observed:
    """E[x] of `transformed(function)`, coupled to its solution on the same 40,000 paths and their mirror images."""
    n = 40_000
    path = Mirrored(FineWalk(n, 0.0, 1.0, cells=16, seed=7))
    coarse, fine = (_errors(at, function, path, 2 * n, steps).reshape(2, n).mean(0) for steps in (8, 16))
    return weak_order(coarse, fine)


def _errors(at: AtSteps, function: str, path: FineWalk | Mirrored, samples: int, steps: int) -> Tensor:
    equation, solution = transformed(function)
    start = solution(0.0, torch.zeros(samples, 1, dtype=torch.float64))
    return (at(steps)(equation, start, 0.0, 1.0, path) - solution(1.0, path.increment(0.0, 1.0)))[:, 0]


def weak_on_geometric(at: AtSteps, given: float = 0.5) -> Observed:
    """E[x] and E[x^2] of geometric Brownian motion: the moments of one step by Gauss-Hermite, multiplied up.

    `given` is the drift's rate that the solver is given, of an equation whose own is 0.5.
    """
    errors = []
    for steps in (32, 64, 128):
        first, second = _one_step_moments(at, 1 / steps, given)
        errors.append(max(abs(first**steps - math.exp(0.5)), abs(second**steps - math.exp(2 * 0.5 + 0.36))))
    return from_errors(errors)


class _Nodes(FineWalk):
    """One step whose increments are the nodes of a Gauss-Hermite rule."""

    def __init__(self) -> None:
        z, w = np.polynomial.hermite_e.hermegauss(8)
        self.z, self.weights = torch.from_numpy(z)[:, None], torch.from_numpy(w / w.sum())

    def increment(self, t, s):
        return self.z * abs(s - t) ** 0.5


def stratonovich_order(at: AtSteps) -> float:
    """The weak order when the drift is Stratonovich's, less half of g dg/dx: what a solver that takes it for Ito's has."""
    return weak_on_geometric(at, 0.5 - 0.6**2 / 2).order


def _one_step_moments(at: AtSteps, h: float, rate: float) -> tuple[float, float]:
    nodes = _Nodes()
    x = at(1)(geometric_brownian(rate), torch.ones_like(nodes.z), 0.0, h, nodes)[:, 0]
    return float(nodes.weights @ x), float(nodes.weights @ x**2)
