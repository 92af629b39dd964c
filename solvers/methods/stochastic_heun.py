"""Heun's method for additive noise."""

from __future__ import annotations

from solvers.elementwise import axpy
from solvers.equations import ItoSDE
from solvers.method import Method, Order, noise


class StochasticHeun(Method):
    """The trapezoidal rule in the drift and in the diffusion, on one increment:

        x* = x_t + h drift(x_t, t) + g(t) dW
        x_s = x_t + h/2 (drift(x_t, t) + drift(x*, s)) + (g(t) + g(s))/2 dW.

    For additive noise the Ito and Stratonovich senses agree. Strong order 1; weak order 2, since dW h/2 may replace
    the integral of W over the step in every moment that order needs.

    References:
        Kloeden & Platen, Numerical Solution of Stochastic Differential Equations, 1992, sections 12.2 and 15.1
        Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
            https://arxiv.org/abs/2206.00364, appendix B
    """

    orders = {ItoSDE: Order(strong=1, weak=2)}
    evaluations = 2

    def step(self, equation, x, t, s, path, state):
        """Two evaluations, one increment."""
        h, dw = s - t, noise(path, t, s)
        before, after = equation.diffusion(t), equation.diffusion(s)
        first = equation.drift(x, t)
        second = equation.drift(axpy(axpy(x, h, first), before, dw), s)
        return axpy(axpy(x, h / 2, first + second), (before + after) / 2, dw), None
