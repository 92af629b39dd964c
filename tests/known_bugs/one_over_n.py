"""Euler steps of span/N on a grid that is not uniform: published samplers step by 1/N whatever their timesteps are."""

from __future__ import annotations

from solvers import ODE, Euler, Method, Order
from solvers.testing import check_method

CHECK, CAUSE = "order (ODE, sine, up)", r"it steps by 1/N, not by the grid's own step"


class PerN(Method):
    orders = {ODE: Order.of(1)}

    def init(self, equation, x, grid):
        return (grid[-1] - grid[0]) / (len(grid) - 1)

    def step(self, equation, x, t, s, path, state):
        return x + state * equation.drift(x, t), state


def report():
    return check_method(PerN())


def sound():
    return check_method(Euler())
