"""Observed order = declared order, for every method on disk, every kind of equation it declares, in both directions."""

from __future__ import annotations

import math

import pytest
import torch

from solvers import (
    ODE,
    RK4,
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
)
from solvers.methods import METHODS
from solvers.methods.churn import Churn
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.methods.stochastic_exponential_adams import StochasticExponentialAdams
from solvers.testing import diagonal_orders as diagonal
from solvers.testing import orders as measure
from solvers.testing import stochastic_orders as exact
from solvers.testing.problems import BENDS, CLOCKS, LINEAR, SOLUTIONS, TRANSFORMED, Cascade

TOLERANCE = 0.2
UNSTARTED = [PredictEvaluateCorrect(4), PredictEvaluateCorrect(5)]
MORE = [PredictEvaluateCorrect(3), *UNSTARTED, StochasticExponentialAdams(4)]
DETERMINISTIC = [(m, kind) for m in [*METHODS, *MORE] for kind in m.orders if kind in (ODE, SemilinearODE)]
ADDITIVE = [(m, kind) for m in [*METHODS, *MORE] for kind in m.orders if kind in (ItoSDE, SemilinearSDE, MarkovChain)]
STRONG = [(m, kind) for m, kind in ADDITIVE if m.orders[kind].strong]
RENOISED = [m for m in METHODS if RenoisedODE in m.orders]
GRIDS = {"uneven": measure.UNEVEN, "alternating": measure.alternating}
DIAGONAL = [m for m in METHODS if DiagonalSDE in m.orders]


def first_of(names):
    """The first one everyday, the others in the slow run."""
    return [name if place == 0 else pytest.param(name, marks=pytest.mark.slow) for place, name in enumerate(names)]


def name_of(value):
    return repr(value) if isinstance(value, Method) else getattr(value, "__name__", None)


def holds(seen, method, declared):
    """Whether the declared order lies within the interval, up to the tolerance.

    The small leading term of long formulas shows late: their order comes down to it.
    """
    return seen.reaches(declared, TOLERANCE) and seen.stays(declared, 0.3 if method in UNSTARTED else TOLERANCE)


def test_every_declared_equation_is_measured():
    """No method may declare a kind of equation that neither this file nor the tests of laws (the last three) measure."""
    measured = {ODE, SemilinearODE, ItoSDE, SemilinearSDE, MarkovChain, DiagonalSDE, TargetFamily, RenoisedODE, Density}
    assert {kind for method in METHODS for kind in method.orders} <= measured


@pytest.mark.thinned(3)
@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize("problem", SOLUTIONS)
@pytest.mark.parametrize(("method", "kind"), DETERMINISTIC, ids=name_of)
def test_deterministic_order(method, kind, problem, direction):
    seen = measure.deterministic(method, kind, problem, direction)
    assert seen.order == pytest.approx(method.orders[kind].strong, abs=TOLERANCE)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize(("method", "kind"), DETERMINISTIC, ids=name_of)
def test_order_where_neighbouring_steps_differ(method, kind, direction):
    """Weights that belong to another step keep their order on every smooth grid, and lose it here."""
    seen = measure.deterministic(method, kind, "sine", direction, measure.alternating)
    assert seen.order == pytest.approx(method.orders[kind].strong, abs=TOLERANCE)


@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize(("method", "kind"), ADDITIVE, ids=name_of)
def test_weak_order_where_the_forcing_ignores_the_state(method, kind, direction):
    """At least the declared one: where no field sees the noise, a problem may flatter."""
    seen = measure.weak_on_linear(measure.on_grid(method, measure.UNEVEN), kind, direction)
    assert seen.order > method.orders[kind].weak - TOLERANCE


@pytest.mark.parametrize("spacing", first_of(GRIDS))
@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize("problem", ["shared", "growing"])
@pytest.mark.parametrize(("method", "kind"), ADDITIVE, ids=name_of)
def test_weak_order_on_a_linear_equation(method, kind, problem, direction, spacing):
    """Every field feels the noise of the steps before; mean and variance are exact."""
    seen = measure.weak_on_linear(measure.on_grid(method, GRIDS[spacing]), kind, direction, GRIDS[spacing], problem)
    assert holds(seen, method, method.orders[kind].weak), str(seen)


@pytest.mark.parametrize("spacing", first_of(GRIDS))
@pytest.mark.parametrize("direction", first_of(measure.SPANS))
@pytest.mark.parametrize(("method", "kind"), ADDITIVE, ids=name_of)
def test_weak_order_on_a_nonlinear_cascade(method, kind, direction, spacing):
    """A quadratic forcing, whose means are exact."""
    seen = exact.weak_on_cascade(measure.on_grid(method, GRIDS[spacing]), kind, direction, GRIDS[spacing])
    assert holds(seen, method, method.orders[kind].weak), str(seen)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), ADDITIVE, ids=name_of)
def test_weak_order_on_a_nonlinear_equation(method, kind):
    """The declared one within its Monte Carlo error, unless the bias is already below six standard errors."""
    seen = measure.weak_on_nonlinear(measure.on_grid(method), kind)
    assert seen is None or seen.order == pytest.approx(method.orders[kind].weak, abs=0.3)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("direction", first_of(measure.SPANS))
@pytest.mark.parametrize("problem", LINEAR)
@pytest.mark.parametrize(("method", "kind"), STRONG, ids=name_of)
def test_strong_order_on_a_linear_equation(method, kind, problem, direction):
    """At least the declared one: SRA1's leading term is a product of a second derivative."""
    seen = exact.strong_on_linear(measure.on_grid(method, measure.UNEVEN), kind, direction, problem=problem)
    assert seen.order > method.orders[kind].strong - TOLERANCE


@pytest.mark.thinned(2)
@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize("shape", [b if b == "sine" else pytest.param(b, marks=pytest.mark.slow) for b in BENDS])
@pytest.mark.parametrize(("method", "kind"), [(m, kind) for m, kind in STRONG if m not in UNSTARTED], ids=name_of)
def test_strong_order_for_additive_noise(method, kind, shape, direction):
    seen = measure.strong(measure.on_grid(method), kind, direction, shape=shape)
    assert seen.order == pytest.approx(method.orders[kind].strong, abs=TOLERANCE)


@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize("method", UNSTARTED, ids=name_of)
def test_the_strong_order_of_long_formulas_is_reached_from_above(method, direction):
    """At sampled numbers of steps the order of the formulas still shows; exact errors have come down to that of the noise."""
    seen = [
        exact.strong_on_linear(measure.on_grid(method, measure.UNEVEN), SemilinearSDE, direction, problem=problem)
        for problem in LINEAR
    ]
    assert min(one.order for one in seen) == pytest.approx(method.orders[SemilinearSDE].strong, abs=0.02)
    assert all(one.stays(method.orders[SemilinearSDE].strong, TOLERANCE) for one in seen)


@pytest.mark.parametrize("function", TRANSFORMED)
@pytest.mark.parametrize("method", DIAGONAL, ids=name_of)
def test_orders_for_diagonal_noise(method, function):
    declared, at = method.orders[DiagonalSDE], measure.on_grid(method)
    assert diagonal.strong_on_transformed(at, function).order == pytest.approx(declared.strong, abs=TOLERANCE)
    assert diagonal.weak_on_transformed(at, function).order == pytest.approx(declared.weak, abs=TOLERANCE)


@pytest.mark.parametrize("method", DIAGONAL, ids=name_of)
def test_weak_order_of_geometric_brownian_motion(method):
    seen = diagonal.weak_on_geometric(measure.on_grid(method))
    assert seen.order == pytest.approx(method.orders[DiagonalSDE].weak, abs=TOLERANCE)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("method", [*RENOISED, Churn(10.0), Churn(10.0, RK4())], ids=name_of)
def test_weak_order_of_a_flow_that_is_noised_again(method, clock):
    seen = exact.weak_on_renoised(method, clock)
    assert seen.order == pytest.approx(method.orders[RenoisedODE].weak, abs=TOLERANCE)


@pytest.mark.parametrize("direction", measure.SPANS)
def test_the_exact_moments_solve_their_equations(direction):
    """The cascade's E[y] and E[x y], and those of the linear problems, by a Runge-Kutta method on the moments' ODEs."""
    start, stop = measure.SPANS[direction]
    sign = 1.0 if stop > start else -1.0
    for cascade in (exact.CASCADE, *(Cascade(linear) for linear in LINEAR.values())):
        one, two = cascade.first.rate + cascade.first.slope, cascade.first.rate - cascade.first.slope / 2

        def drift(z, t, one=one, two=two, g=cascade.first.g):
            m, v, y, xy = z.unbind(-1)
            noise, cube = sign * g(t) ** 2, m**3 + 3 * m * v
            slopes = one * m + math.cos(t), 2 * one * v + noise, two * y + m**2 + v
            return torch.stack([*slopes, (one + two) * xy + cube + math.cos(t) * y + noise], -1)

        z = torch.tensor([[0.7, 0.0, 0.4, 0.28]], dtype=torch.float64)
        m, v, y, xy = FixedGrid(RK4(), 400)(ODE(drift), z, start, stop)[0].tolist()
        assert (m, v) == pytest.approx(cascade.first.moments(start, stop, 0.7), abs=1e-8)
        assert (y, xy) == pytest.approx(cascade.moments(start, stop, 0.7, 0.4), abs=1e-8)
