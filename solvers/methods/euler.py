"""Euler's method."""

from __future__ import annotations

from solvers.elementwise import axpy
from solvers.equations import ODE
from solvers.method import Method, Order


class Euler(Method):
    """x_s = x_t + h drift(x_t, t).

    References:
        Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section I.7
    """

    orders = {ODE: Order.of(1)}

    def step(self, equation, x, t, s, path, state):
        """One evaluation."""
        return axpy(x, s - t, equation.drift(x, t)), None
