"""Foreign engines behind our call: exact answers, our own methods on the same path, and what is refused at the door."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from solvers import (
    ODE,
    DiagonalSDE,
    EulerMaruyama,
    FixedGrid,
    FreshIncrements,
    ItoSDE,
    KeyedIncrements,
    SemilinearODE,
    WienerTree,
)
from solvers.backends import Scipy, Torchsde
from solvers.backends.scipy import METHODS
from solvers.backends.torchsde import ITO, STRATONOVICH
from solvers.wiener import AreaPath

SPANS = [(0.0, 1.5), (1.5, 0.0), (-0.5, -2.0)]
BOTH = {"ascending": (0.2, 1.3), "descending": (1.3, 0.2)}

both_directions = pytest.mark.parametrize(("start", "stop"), BOTH.values(), ids=BOTH)


def states(*shape: int, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


# scipy: linear equations in closed form.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("start", "stop"), SPANS)
def test_scipy_solves_decay_with_a_source(method, start, stop):
    """dx/dt = -x + t has x(s) = s - 1 + (x(t) - t + 1) e^{t - s}."""
    x = states(3)
    y = Scipy(method, rtol=1e-8, atol=1e-8)(ODE(lambda x, t: t - x), x, start, stop)
    exact = stop - 1 + (x - start + 1) * math.exp(start - stop)
    torch.testing.assert_close(y, exact, rtol=2e-6, atol=2e-6)


@given(
    turns=st.floats(-2, 2, allow_nan=False),
    shape=st.lists(st.integers(1, 3), max_size=3).map(tuple),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_scipy_solves_a_rotation_in_any_event_shape(turns, shape, dtype):
    """Two coordinates that turn: x'' = -x, exact by the cosine and the sine; events (2, *shape), the dtype is kept."""
    x = states(4, 2, *shape, dtype=dtype)
    solver = Scipy(rtol=1e-9, atol=1e-9) if dtype == torch.float64 else Scipy(rtol=1e-5, atol=1e-6)
    y = solver(ODE(lambda x, t: torch.stack((-x[:, 1], x[:, 0]), 1)), x, 0.0, turns)
    c, s = math.cos(turns), math.sin(turns)
    exact = torch.stack((c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1]), 1)
    assert y.dtype == dtype
    torch.testing.assert_close(y, exact, rtol=0, atol=1e-7 if dtype == torch.float64 else 1e-4)


@both_directions
def test_scipy_solves_the_semilinear_form_of_an_equation(start, stop):
    """rate y + forcing is the slope: a cosine forcing on decay, against the closed form."""
    x = states(3, 2)
    y = Scipy(rtol=1e-10, atol=1e-10)(
        SemilinearODE(-2.0, lambda y, t: y.new_full(y.shape, math.cos(t))), x, start, stop
    )

    def steady(t):
        return (2 * math.cos(t) + math.sin(t)) / 5

    torch.testing.assert_close(y, steady(stop) + (x - steady(start)) * math.exp(-2 * (stop - start)), rtol=0, atol=1e-8)


def test_a_tighter_tolerance_costs_evaluations_and_buys_accuracy():
    x, decay = states(5), ODE(lambda x, t: -x)
    loose, tight = (Scipy("RK45", rtol=tol, atol=tol).solve(decay, x, 0.0, 3.0) for tol in (1e-3, 1e-9))
    error_of_loose, error_of_tight = ((s.state - x * math.exp(-3)).abs().max() for s in (loose, tight))
    assert error_of_tight < 1e-8 < error_of_loose
    assert loose.evaluations < tight.evaluations


@pytest.mark.parametrize("method", METHODS)
def test_the_evaluations_are_those_of_the_slope(method):
    """Finite differences of the implicit methods included, which scipy's own count leaves out."""
    calls = []
    found = Scipy(method).solve(ODE(lambda x, t: calls.append(t) or -x), states(3), 0.0, 1.0)
    assert found.evaluations == len(calls) > 0
    assert all(type(t) is float for t in calls)


def test_scipy_couples_the_batch():
    """As its docstring says: a stiff neighbour changes a sample's rounding, within the tolerance."""
    x = torch.ones(2, dtype=torch.float64)
    alone = Scipy()(ODE(lambda x, t: -x), x[:1], 0.0, 1.0)
    with_neighbour = Scipy()(ODE(lambda x, t: -x * torch.tensor([1.0, 50.0])), x, 0.0, 1.0)[:1]
    assert not torch.equal(alone, with_neighbour)
    torch.testing.assert_close(alone, with_neighbour, rtol=0, atol=1e-5)


# torchsde: our own method on the same path.


def additive(x, t):
    return torch.sin(x) - t * x


ADDITIVE = ItoSDE(additive, lambda t: 0.3 + t**2)
DIAGONAL = DiagonalSDE(additive, lambda x, t: 0.2 + torch.tanh(x) / (2 + t))


@both_directions
@pytest.mark.parametrize("kind", [KeyedIncrements, WienerTree, FreshIncrements])
@pytest.mark.parametrize("equation", [ADDITIVE, DIAGONAL], ids=["additive", "diagonal"])
def test_torchsde_euler_is_our_euler_maruyama(equation, kind, start, stop):
    """On the same path to 1e-12: 37 steps, whose lengths no float adds up to the end exactly."""
    x = states(4, 3, 2)
    theirs = Torchsde("euler", 37)(equation, x, start, stop, kind.like(x, 1, start, stop))
    mine = FixedGrid(EulerMaruyama(), 37)(equation, x, start, stop, kind.like(x, 1, start, stop))
    torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (2, 3, 2, 2)])
def test_torchsde_takes_any_event_shape_in_float32(shape):
    """Float32 states on float64 times: the times are not rounded, or the tree would be asked beside the grid."""
    x = states(*shape, dtype=torch.float32)
    theirs = Torchsde("euler", 50)(ADDITIVE, x, 1.0, 0.0, WienerTree.like(x, 1, 1.0, 0.0))
    mine = FixedGrid(EulerMaruyama(), 50)(ADDITIVE, x, 1.0, 0.0, WienerTree.like(x, 1, 1.0, 0.0))
    assert theirs.dtype == torch.float32
    torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-5)


def growth(x, start, stop, dw, a=0.4, b=0.7):
    """dx = a x dt + b x dW by Ito's formula, with |stop - start| for the quadratic variation of either direction."""
    return x * torch.exp(a * (stop - start) - b**2 / 2 * abs(stop - start) + b * dw)


@both_directions
@pytest.mark.parametrize(("method", "least"), [("euler", 0.35), ("milstein", 0.85)])
def test_strong_order_on_geometric_brownian_motion(method, least, start, stop):
    """One path, halved steps: root mean square distance to the exact solution on W's own end value, 400 paths.

    The declared strong orders are 1/2 and 1; over one factor of 16 in the step the slope of 400 paths is known to 0.1.
    """
    x = torch.ones(400, 1, dtype=torch.float64)
    path = WienerTree.like(x, 3, start, stop)
    exact = growth(x, start, stop, path.increment(start, stop))
    equation = DiagonalSDE(lambda x, t: 0.4 * x, lambda x, t: 0.7 * x)

    def error(steps):
        return (Torchsde(method, steps)(equation, x, start, stop, path) - exact).square().mean().sqrt().item()

    assert math.log2(error(4) / error(64)) / 4 > least


class Parabola(AreaPath):
    """W with W(t) = c t^2: a smooth path, whose integrals are known in closed form."""

    def __init__(self, c):
        self.c = c

    def increment(self, t, s):
        return self.c * (s**2 - t**2)

    def increment_and_area(self, t, s):
        return self.increment(t, s), -self.c * (s - t) ** 2 / 6

    def channel(self, k):
        raise ValueError("a parabola has one channel")


@both_directions
def test_srk_sees_the_time_integral_of_the_path(start, stop):
    """dx = x dt + dW in one step: x_s = x (1 + h + h^2/2 + h^3/6) + dW + int (W(r) - W(t)) dr.

    The method is of order 3 without noise; the path's integral over the step is c h^2 (2 t + s)/3 for W = c t^2.
    """
    x, c = states(6, 1), states(6, 1) + 2
    h = stop - start
    y = Torchsde("srk", 1)(ItoSDE(lambda x, t: x, lambda t: 1.0), x, start, stop, Parabola(c))
    expected = x * (1 + h + h**2 / 2 + h**3 / 6) + c * (stop**2 - start**2) + c * h**2 * (2 * start + stop) / 3
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)


@both_directions
@pytest.mark.parametrize("method", [*ITO, *STRATONOVICH])
def test_every_method_reaches_the_same_end_with_additive_noise(method, start, stop):
    """Ito and Stratonovich agree: on a smooth path all methods converge to the solution of the random equation."""
    x = states(6, 1)
    path = Parabola(torch.ones(6, 1, dtype=torch.float64))

    def slope(x, t):
        return additive(x, t) + (0.3 + t**2) * 2 * t

    exact = Scipy(rtol=1e-11, atol=1e-11)(ODE(slope), x, start, stop)
    coarse, fine = ((Torchsde(method, n)(ADDITIVE, x, start, stop, path) - exact).abs().max() for n in (100, 200))
    assert fine < 0.02
    assert fine < 0.6 * coarse


def test_gradients_pass_through_torchsde():
    """d x_T/d x_0 of dx = -x dt + dW in Euler steps is (1 - h)^n, noise or not."""
    x = states(3, 2).requires_grad_()
    end = Torchsde("euler", 10)(
        ItoSDE(lambda x, t: -x, lambda t: 1.0), x, 0.0, 1.0, KeyedIncrements.like(x, 0, 0.0, 1.0)
    )
    (slope,) = torch.autograd.grad(end.sum(), x)
    torch.testing.assert_close(slope, torch.full_like(x, 0.9**10), rtol=1e-12, atol=0)


# The doors.

X = torch.ones(2, 1)
DECAY, NOISY = ODE(lambda x, t: -x), ItoSDE(lambda x, t: -x, lambda t: 1.0)
PATH, TREE = FreshIncrements.like(X, 0, 0.0, 1.0), WienerTree.like(X, 0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: Scipy("RK54"), ValueError, "did you mean 'RK45'"),
        (lambda: Scipy("lsoda"), ValueError, "did you mean 'LSODA'"),
        (lambda: Scipy(rtol=0.0), ValueError, "loosen"),
        (lambda: Scipy()(NOISY, X, 0.0, 1.0, PATH), TypeError, "got ItoSDE; take the deterministic form"),
        (lambda: Scipy()(DECAY, X, 0.0, 1.0, PATH), TypeError, "leave noise out"),
        (lambda: Scipy()(DECAY, X.long(), 0.0, 1.0), TypeError, "floating-point"),
        (lambda: Scipy()(DECAY, X, 0.0, math.inf), ValueError, "finite"),
        (lambda: Scipy()(DECAY, X.clone().requires_grad_(), 0.0, 1.0), ValueError, "detach"),
        (lambda: Scipy()(ODE(lambda x, t: x / 0 * 0), X, 0.0, 1.0), FloatingPointError, "NaN or infinity at t = 0"),
        (lambda: Scipy()(ODE(lambda x, t: x**2), X, 0.0, 2.0), ArithmeticError, "did not reach t = 2"),
        (lambda: Torchsde("eulre"), ValueError, "did you mean 'euler'"),
        (lambda: Torchsde("euler", 0), ValueError, "steps >= 1"),
        (lambda: Torchsde()(DECAY, X, 0.0, 1.0), TypeError, "got ODE; take Scipy"),
        (lambda: Torchsde()(NOISY, X, 0.0, 1.0), TypeError, "pass noise="),
        (lambda: Torchsde()(NOISY, X, 0.0, math.inf, PATH), ValueError, "finite"),
        (lambda: Torchsde("heun")(DIAGONAL, X, 0.0, 1.0, PATH), TypeError, "Stratonovich"),
        (lambda: Torchsde("srk")(NOISY, X, 0.0, 1.0, TREE), TypeError, "Levy area"),
    ],
)
def test_refused_in_one_sentence(ask, error, words):
    with pytest.raises(error, match=words):
        ask()
