"""Exponential Euler, deterministic and stochastic."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from solvers.elementwise import axpy, combine, scale
from solvers.equations import SemilinearODE, SemilinearSDE
from solvers.method import Method, Order, noise


class ExponentialEuler(Method):
    """y_s = e^{a h} y_t + (e^{a h} - 1)/a F(y_t, t) [+ spread(t, s) z], the linear part and the noise exact.

    On the data form it is DDIM and SDE-DPM-Solver++(1). Carried to a h = -infinity it returns -F/a: the denoiser's
    output, so the last step to sigma = 0 is no special case. z is the path's increment brought to unit variance: the
    noise is exact in distribution; pathwise it differs from the true convolution by O(h^1.5) a step, which leaves
    strong order 1.

    References:
        Hochbruck & Ostermann, Exponential integrators, 2010, https://doi.org/10.1017/S0962492910000048, section 2
        Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095
    """

    orders = {SemilinearODE: Order.of(1), SemilinearSDE: Order(strong=1, weak=1)}

    def step(self, equation, x, t, s, path, state):
        """One evaluation."""
        decay, weight = factors(equation.rate, s - t)
        y = combine(decay, x, weight, equation.forcing(x, t))
        if path is None:
            return y, None
        return convolve(y, equation, t, s, path), None


def factors(rate: float, h):
    """e^{a h} and (e^{a h} - 1)/a for a float or a tensor h."""
    if isinstance(h, Tensor):
        return torch.exp(rate * h), (torch.expm1(rate * h) / rate if rate else h)
    return math.exp(rate * h), (math.expm1(rate * h) / rate if rate else h)


def convolve(y: Tensor, equation: SemilinearSDE, t, s, path) -> Tensor:
    """Add the stochastic convolution of the step."""
    return axpy(y, equation.spread(t, s) / abs(s - t) ** 0.5, noise(path, t, s))


def convolution(equation: SemilinearSDE, t, s, path) -> Tensor:
    """The stochastic convolution: spread(t, s) times the increment of the path brought to unit variance."""
    return scale(equation.spread(t, s) / abs(s - t) ** 0.5, noise(path, t, s))
