r"""A stochastic Runge-Kutta method of strong order 1.5 for additive noise.

    I = integral_t^s (W(r) - W(t)) dr = h (dW/2 + H),   H the space-time Levy area of the step                     (1)
    x* = x_t + 3/4 h drift(x_t, t) + 3/2 g(s) I/h
    x_s = x_t + h (1/3 drift(x_t, t) + 2/3 drift(x*, t + 3/4 h)) + g(s) dW + (g(t) - g(s)) I/h

References:
    Roessler, Runge-Kutta Methods for the Strong Approximation of Solutions of Stochastic Differential Equations, 2010,
        https://doi.org/10.1137/09076636X, table 6.3 (SRA1)
"""

from __future__ import annotations

from solvers.elementwise import axpy
from solvers.equations import ItoSDE
from solvers.method import Method, Order
from solvers.wiener import AreaPath


class SRA1(Method):
    """Strong order 1.5, weak order 2; two evaluations; needs a path with its Levy area."""

    orders = {ItoSDE: Order(strong=1.5, weak=2)}
    evaluations = 2
    needs = AreaPath

    def step(self, equation, x, t, s, path, state):
        """Two evaluations, one increment and one area."""
        h = s - t
        assert isinstance(path, AreaPath)
        dw, area = path.increment_and_area(t, s)
        mean = axpy(area, 0.5, dw)
        before, after = equation.diffusion(t), equation.diffusion(s)
        first = equation.drift(x, t)
        inner = axpy(axpy(x, 0.75 * h, first), 1.5 * after, mean)
        second = equation.drift(inner, t + 0.75 * h)
        y = axpy(axpy(x, h / 3, first), 2 * h / 3, second)
        return axpy(axpy(y, after, dw), before - after, mean), state
