"""Observed order = declared order, for every method on disk, every kind of equation it declares, in both directions."""

from __future__ import annotations

import pytest

from solvers import (
    ODE,
    Density,
    DiagonalSDE,
    ItoSDE,
    MarkovChain,
    Method,
    RenoisedODE,
    SemilinearODE,
    SemilinearSDE,
    TargetFamily,
)
from solvers.methods import METHODS
from solvers.testing import orders as measure
from solvers.testing.problems import SOLUTIONS

TOLERANCE = 0.2
DETERMINISTIC = [(m, kind) for m in METHODS for kind in m.orders if kind in (ODE, SemilinearODE)]
ADDITIVE = [(m, kind) for m in METHODS for kind in m.orders if kind in (ItoSDE, SemilinearSDE, MarkovChain)]
DIAGONAL = [m for m in METHODS if DiagonalSDE in m.orders]


def name_of(value):
    return repr(value) if isinstance(value, Method) else getattr(value, "__name__", None)


def test_every_declared_equation_is_measured():
    """No method may declare a kind of equation that neither this file nor the tests of laws (the last three) measure."""
    measured = {ODE, SemilinearODE, ItoSDE, SemilinearSDE, MarkovChain, DiagonalSDE, TargetFamily, RenoisedODE, Density}
    assert {kind for method in METHODS for kind in method.orders} <= measured


@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize("problem", SOLUTIONS)
@pytest.mark.parametrize(("method", "kind"), DETERMINISTIC, ids=name_of)
def test_deterministic_order(method, kind, problem, direction):
    seen = measure.deterministic(method, kind, problem, direction)
    assert seen.order == pytest.approx(method.orders[kind].strong, abs=TOLERANCE)


@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize(("method", "kind"), DETERMINISTIC, ids=name_of)
def test_order_where_neighbouring_steps_differ(method, kind, direction):
    """Weights that belong to another step keep their order on every smooth grid, and lose it here."""
    seen = measure.deterministic(method, kind, "sine", direction, measure.alternating)
    assert seen.order == pytest.approx(method.orders[kind].strong, abs=TOLERANCE)


@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize(("method", "kind"), ADDITIVE, ids=name_of)
def test_weak_order_on_a_linear_equation(method, kind, direction):
    """At least the declared one: a linear equation may flatter."""
    seen = measure.weak_on_linear(measure.on_grid(method, measure.UNEVEN), kind, direction)
    assert seen.order > method.orders[kind].weak - TOLERANCE


@pytest.mark.parametrize(("method", "kind"), ADDITIVE, ids=name_of)
def test_weak_order_on_a_nonlinear_equation(method, kind):
    """The declared one within its Monte Carlo error, unless the bias is already below six standard errors."""
    seen = measure.weak_on_nonlinear(measure.on_grid(method), kind)
    assert seen is None or seen.order == pytest.approx(method.orders[kind].weak, abs=0.3)


@pytest.mark.parametrize("direction", measure.SPANS)
@pytest.mark.parametrize(("method", "kind"), [(m, k) for m, k in ADDITIVE if m.orders[k].strong], ids=name_of)
def test_strong_order_for_additive_noise(method, kind, direction):
    seen = measure.strong(measure.on_grid(method), kind, direction)
    assert seen.order == pytest.approx(method.orders[kind].strong, abs=TOLERANCE)


@pytest.mark.parametrize("method", DIAGONAL, ids=name_of)
def test_orders_for_diagonal_noise(method):
    declared = method.orders[DiagonalSDE]
    at = measure.on_grid(method)
    assert measure.strong_on_geometric(at).order == pytest.approx(declared.strong, abs=TOLERANCE)
    assert measure.weak_on_geometric(at).order == pytest.approx(declared.weak, abs=TOLERANCE)
