"""Observed orders of convergence, as the contract tests assert them and as `benchmarks/orders.py` tabulates them."""

from __future__ import annotations

import math

import numpy as np
import torch

from solvers import FixedGrid, through
from tests.solvers.problems import (
    FineWalk,
    Impulses,
    Mirrored,
    additive,
    geometric_brownian,
    linear_moments,
    manufactured,
    observed_order,
)

UNEVEN = through(lambda t: t**0.8, lambda u: u**1.25)
SPANS = {"up": (0.3, 1.5), "down": (1.5, 0.3)}


def deterministic(method, kind, problem: str, direction: str) -> float:
    """The largest error on the second half of an uneven grid, halving the step until the error nears rounding."""
    start, stop = SPANS[direction]
    equation, exact = manufactured(kind, problem)
    x = torch.full((1, 1), exact(start), dtype=torch.float64)
    errors, steps = [], 32
    while len(errors) < 2 or (errors[-1] > 1e-10 and steps <= 1024):
        walk = list(FixedGrid(method, steps, UNEVEN).trajectory(equation, x, start, stop))
        errors.append(max(abs(state.item() - exact(t)) for t, state in walk[steps // 2 :]))
        steps *= 2
    assert errors[-1] > 1e-13, "the problem is too easy to measure an order"
    return observed_order(errors)


def weak_on_linear(method, kind, direction: str) -> float:
    """The slower of mean and variance on a linear equation, by impulses: no random number is drawn."""
    start, stop = SPANS[direction]
    errors = {"mean": [], "variance": []}
    for steps in (128, 256):
        path = Impulses(UNEVEN(start, stop, steps))
        x = torch.full((path.batch, 1), 0.7, dtype=torch.float64)
        result = FixedGrid(method, steps, UNEVEN)(additive(kind), x, start, stop, path)
        for key, got, exact in zip(errors, path.moments(result), linear_moments(start, stop, 0.7), strict=True):
            errors[key].append(abs(got - exact))
    return min(observed_order(e) for e in errors.values() if e[1] > 1e-9)


def strong(method, kind, direction: str) -> float:
    """Root mean square distance to the same method with 16 times the steps, on one path; nonlinear drift, 200 samples."""
    start, stop = SPANS[direction]
    x = torch.full((200, 1), 0.7, dtype=torch.float64)
    path = FineWalk(200, start, stop, cells=2048, seed=5)

    def end(steps: int):
        return FixedGrid(method, steps)(additive(kind, bend=1.0), x, start, stop, path)

    reference = end(1024)
    return observed_order([(end(steps) - reference).square().mean().sqrt().item() for steps in (32, 64)])


def weak_on_nonlinear(method, kind) -> float | None:
    """E[sin x + x^2], coupled to a fine run on the same paths, 20000 of them and their mirror images.

    None where the error has fallen below six standard errors: too small to measure an order.
    """
    start, stop, n = 0.3, 1.5, 20_000
    x = torch.full((2 * n, 1), 0.7, dtype=torch.float64)
    path = Mirrored(FineWalk(n, start, stop, cells=512, seed=8))

    def end(steps: int):
        y = FixedGrid(method, steps)(additive(kind, bend=0.5), x, start, stop, path)
        return (torch.sin(y) + y**2).reshape(2, n).mean(0)

    reference = end(256)
    gaps = [end(steps) - reference for steps in (4, 8)]
    errors = [abs(gap.mean().item()) for gap in gaps]
    return observed_order(errors) if errors[1] > 6 * gaps[1].std().item() / n**0.5 else None


def strong_on_geometric(method) -> float:
    """Geometric Brownian motion against its closed form on the same path, 4000 samples."""
    equation, x = geometric_brownian(), torch.ones(4000, 1, dtype=torch.float64)
    path = FineWalk(4000, 0.0, 1.0, cells=128, seed=6)
    exact = torch.exp((0.5 - 0.6**2 / 2) + 0.6 * path.increment(0.0, 1.0))

    def error(steps: int) -> float:
        return (FixedGrid(method, steps)(equation, x, 0.0, 1.0, path) - exact).square().mean().sqrt().item()

    return math.log2(error(32) / error(128)) / 2


def weak_on_geometric(method) -> float:
    """E[x] and E[x^2] of geometric Brownian motion: the moments of one step by Gauss-Hermite, multiplied up."""
    errors = []
    for steps in (64, 128):
        first, second = _one_step_moments(method, 1 / steps)
        errors.append(max(abs(first**steps - math.exp(0.5)), abs(second**steps - math.exp(2 * 0.5 + 0.36))))
    return observed_order(errors)


class _Nodes(FineWalk):
    """One step whose increments are the nodes of a Gauss-Hermite rule."""

    def __init__(self):
        z, w = np.polynomial.hermite_e.hermegauss(8)
        self.z, self.weights = torch.from_numpy(z)[:, None], torch.from_numpy(w / w.sum())

    def increment(self, t, s):
        return self.z * abs(s - t) ** 0.5


def _one_step_moments(method, h: float) -> tuple[float, float]:
    nodes = _Nodes()
    x = FixedGrid(method, 1)(geometric_brownian(), torch.ones_like(nodes.z), 0.0, h, nodes)[:, 0]
    return float(nodes.weights @ x), float(nodes.weights @ x**2)
