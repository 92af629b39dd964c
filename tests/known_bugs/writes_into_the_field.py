"""The field's answer is scaled in place: a network that returns a buffer, or its input, is written into."""

from __future__ import annotations

from solvers import ODE, Method, Order
from solvers.testing import check_method

CHECK, CAUSE = "inputs are left alone (ODE)", r"in place"


class Scales(Method):
    orders = {ODE: Order.of(1)}

    def step(self, equation, x, t, s, path, state):
        return x + equation.drift(x, t).mul_(s - t), None


def report():
    return check_method(Scales())
