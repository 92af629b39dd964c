"""A step that works in place: the caller's x is the result, and whoever kept it keeps something else."""

from __future__ import annotations

from solvers import ODE, Euler, Method, Order
from solvers.testing import check_method

CHECK, CAUSE = "inputs are left alone (ODE)", r"in place"


class InPlace(Method):
    orders = {ODE: Order.of(1)}

    def step(self, equation, x, t, s, path, state):
        return x.add_(equation.drift(x, t), alpha=s - t), None


def report():
    return check_method(InPlace())


def sound():
    return check_method(Euler())
