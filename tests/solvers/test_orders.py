"""Observed order = declared order, for every method on disk, every kind of equation it declares, in both directions."""

from __future__ import annotations

import math

import pytest
import torch

from solvers import (
    ODE,
    Density,
    DiagonalSDE,
    FixedGrid,
    ItoSDE,
    MarkovChain,
    Method,
    RenoisedODE,
    SemilinearODE,
    SemilinearSDE,
    TargetFamily,
    WienerTree,
    through,
)
from solvers.methods import METHODS
from solvers.wiener import PathSpec
from tests.solvers.problems import (
    SOLUTIONS,
    FineWalk,
    Impulses,
    additive,
    geometric_brownian,
    linear_moments,
    manufactured,
    observed_order,
)

TOLERANCE = 0.2
DETERMINISTIC = [(m, kind) for m in METHODS for kind in m.orders if kind in (ODE, SemilinearODE)]
ADDITIVE = [(m, kind) for m in METHODS for kind in m.orders if kind in (ItoSDE, SemilinearSDE, MarkovChain)]
DIAGONAL = [m for m in METHODS if DiagonalSDE in m.orders]
UNEVEN = through(lambda t: t**0.8, lambda u: u**1.25)
SPANS = [(0.3, 1.5), (1.5, 0.3)]


def name_of(value):
    return repr(value) if isinstance(value, Method) else getattr(value, "__name__", None)


def test_every_declared_equation_is_measured():
    """No method may declare a kind of equation that this file, or the tests of the laws (TargetFamily, RenoisedODE,
    Density), leaves out."""
    measured = {ODE, SemilinearODE, ItoSDE, SemilinearSDE, MarkovChain, DiagonalSDE, TargetFamily, RenoisedODE, Density}
    assert {kind for method in METHODS for kind in method.orders} <= measured


@pytest.mark.parametrize("span", SPANS, ids=["up", "down"])
@pytest.mark.parametrize("problem", SOLUTIONS)
@pytest.mark.parametrize(("method", "kind"), DETERMINISTIC, ids=name_of)
def test_deterministic_order(method, kind, problem, span):
    """The largest error on the second half of an uneven grid, halving the step until the error nears rounding."""
    start, stop = span
    equation, exact = manufactured(kind, problem)
    x = torch.full((1, 1), exact(start), dtype=torch.float64)
    errors, steps = [], 32
    while len(errors) < 2 or (errors[-1] > 1e-10 and steps <= 1024):
        walk = list(FixedGrid(method, steps, UNEVEN).trajectory(equation, x, start, stop))
        errors.append(max(abs(state.item() - exact(t)) for t, state in walk[steps // 2 :]))
        steps *= 2
    assert errors[-1] > 1e-13, "the problem is too easy to measure an order"
    assert observed_order(errors) == pytest.approx(method.orders[kind].strong, abs=TOLERANCE)


@pytest.mark.parametrize("span", SPANS, ids=["up", "down"])
@pytest.mark.parametrize(("method", "kind"), ADDITIVE, ids=name_of)
def test_weak_order_for_additive_noise(method, kind, span):
    """Exact moments by impulses: neither mean nor variance is slower than declared (a linear problem may flatter)."""
    start, stop = span
    errors = {"mean": [], "variance": []}
    for steps in (128, 256):
        grid = UNEVEN(start, stop, steps)
        path = Impulses(grid)
        x = torch.full((path.batch, 1), 0.7, dtype=torch.float64)
        result = FixedGrid(method, steps, UNEVEN)(additive(kind), x, start, stop, path)
        for key, got, exact in zip(errors, path.moments(result), linear_moments(start, stop, 0.7), strict=True):
            errors[key].append(abs(got - exact))
    orders = [observed_order(e) for e in errors.values() if e[1] > 1e-9]
    assert min(orders) > method.orders[kind].weak - TOLERANCE


@pytest.mark.parametrize("span", SPANS, ids=["up", "down"])
@pytest.mark.parametrize(("method", "kind"), [(m, k) for m, k in ADDITIVE if m.orders[k].strong], ids=name_of)
def test_strong_order_for_additive_noise(method, kind, span):
    """Root mean square distance to the same method with 16 times the steps, on one path, 200 samples; nonlinear drift."""
    start, stop = span
    x = torch.full((200, 1), 0.7, dtype=torch.float64)
    path = FineWalk(200, start, stop, cells=2048, seed=5)

    def end(steps: int):
        return FixedGrid(method, steps)(additive(kind, bend=1.0), x, start, stop, path)

    reference = end(1024)
    errors = [(end(steps) - reference).square().mean().sqrt().item() for steps in (32, 64)]
    assert observed_order(errors) == pytest.approx(method.orders[kind].strong, abs=TOLERANCE)


@pytest.mark.parametrize(("method", "kind"), ADDITIVE, ids=name_of)
def test_weak_order_for_a_nonlinear_drift(method, kind):
    """E[sin x + x^2], coupled to a fine run on the same paths: 40000 samples, whose standard error is checked."""
    start, stop, n = 0.3, 1.5, 40_000
    x = torch.full((n, 1), 0.7, dtype=torch.float64)
    path = FineWalk(n, start, stop, cells=256, seed=8)

    def end(steps: int):
        y = FixedGrid(method, steps)(additive(kind, bend=0.5), x, start, stop, path)
        return torch.sin(y) + y**2

    reference = end(256)
    gaps = [end(steps) - reference for steps in (4, 8)]
    errors = [abs(gap.mean().item()) for gap in gaps]
    noise = gaps[1].std().item() / n**0.5
    order = method.orders[kind].weak
    if errors[1] > 3 * noise:  # below it the error is too small to measure an order: the method is better than declared
        assert observed_order(errors) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize("method", DIAGONAL, ids=name_of)
def test_strong_order_for_diagonal_noise(method):
    """Geometric Brownian motion against its closed form on the same path, 4000 samples."""
    equation, x = geometric_brownian(), torch.ones(4000, 1, dtype=torch.float64)
    path = WienerTree.like(x, seed=6, start=0.0, stop=1.0)
    exact = torch.exp((0.5 - 0.6**2 / 2) + 0.6 * path.increment(0.0, 1.0))
    errors = [
        (FixedGrid(method, steps)(equation, x, 0.0, 1.0, path) - exact).square().mean().sqrt().item()
        for steps in (32, 64, 128)
    ]
    slope = math.log2(errors[0] / errors[2]) / 2
    assert slope == pytest.approx(method.orders[DiagonalSDE].strong, abs=TOLERANCE)


@pytest.mark.parametrize("method", DIAGONAL, ids=name_of)
def test_weak_order_for_diagonal_noise(method):
    """E[x] and E[x^2] of geometric Brownian motion: the moments of one step by Gauss-Hermite, multiplied up."""
    errors = []
    for steps in (64, 128):
        first, second = one_step_moments(method, 1 / steps)
        errors.append(max(abs(first**steps - math.exp(0.5)), abs(second**steps - math.exp(2 * 0.5 + 0.36))))
    assert observed_order(errors) == pytest.approx(method.orders[DiagonalSDE].weak, abs=TOLERANCE)


def one_step_moments(method, h: float) -> tuple[float, float]:
    import numpy as np

    z, w = np.polynomial.hermite_e.hermegauss(8)
    z, w = torch.from_numpy(z)[:, None], torch.from_numpy(w / w.sum())

    class Nodes(WienerTree):
        def __init__(self):
            pass

        def increment(self, t, s):
            return z * abs(s - t) ** 0.5

    x = FixedGrid(method, 1)(geometric_brownian(), torch.ones_like(z), 0.0, h, Nodes())[:, 0]
    return float(w @ x), float(w @ x**2)


def test_the_path_spec_is_what_samplers_build():
    spec = PathSpec(seed=1, indices=torch.arange(3), event_shape=(2,), start=0.0, stop=1.0, dtype=torch.float64)
    assert WienerTree(spec).increment(0.0, 0.5).shape == (3, 2)
