"""The Euler-Maruyama method."""

from __future__ import annotations

import torch

from solvers.elementwise import axpy
from solvers.equations import DiagonalSDE, ItoSDE
from solvers.method import Method, Order, noise


class EulerMaruyama(Method):
    """x_s = x_t + h drift(x_t, t) + diffusion(t) (W(s) - W(t)).

    Strong order 1 for additive noise, 1/2 for diagonal noise; weak order 1 for both.

    References:
        Kloeden & Platen, Numerical Solution of Stochastic Differential Equations, 1992, sections 10.2 and 14.1
    """

    orders = {ItoSDE: Order(strong=1, weak=1), DiagonalSDE: Order(strong=0.5, weak=1)}

    def step(self, equation, x, t, s, path, state):
        """One evaluation."""
        y = axpy(x, s - t, equation.drift(x, t))
        dw = noise(path, t, s)
        if isinstance(equation, ItoSDE):
            return axpy(y, equation.diffusion(t), dw), None
        return torch.addcmul(y, equation.diffusion(x, t), dw), None
