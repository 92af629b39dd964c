"""Heun's method with the diffusion averaged over the step: it converges to Stratonovich's solution of an Ito equation."""

from __future__ import annotations

from solvers import DiagonalSDE, Method, Order
from solvers.testing import check_method

CHECK, CAUSE = "weak order (DiagonalSDE)", r"it solves Stratonovich's equation, not Ito's"


class Averages(Method):
    orders = {DiagonalSDE: Order(strong=1, weak=1)}
    evaluations = 2

    def step(self, equation, x, t, s, path, state):
        h, dw = s - t, path.increment(t, s)
        drift, diffusion = equation.drift(x, t), equation.diffusion(x, t)
        y = x + h * drift + diffusion * dw
        return x + h * (drift + equation.drift(y, s)) / 2 + (diffusion + equation.diffusion(y, s)) / 2 * dw, None


def report():
    return check_method(Averages())
