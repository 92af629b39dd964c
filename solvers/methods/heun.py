"""Heun's method of order two."""

from __future__ import annotations

from solvers.elementwise import axpy
from solvers.equations import ODE
from solvers.method import OneStep, Order


class Heun(OneStep):
    """The explicit trapezoidal rule: x_s = x_t + h/2 (drift(x_t, t) + drift(x_t + h drift(x_t, t), s)).

    References:
        Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.1
        Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
            https://arxiv.org/abs/2206.00364, algorithm 1
    """

    orders = {ODE: Order.of(2)}
    evaluations = 2

    def finish_step(self, equation, x, t, s, first):
        """The second evaluation."""
        h = s - t
        second = equation.drift(axpy(x, h, first), s)
        return axpy(x, h / 2, first + second)
