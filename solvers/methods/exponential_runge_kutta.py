r"""Exponential Runge-Kutta methods: the singlestep DPM-Solvers.

Each stage, and the result, is variation of constants with F replaced by a polynomial through earlier stages:

    order 1   result through F(t)
    order 2   stage at t + h/2 through F(t); result through the stage
    order 3   stage at t + h/3 through F(t); stage at t + 2h/3 through both; result through F(t) and the last stage
    order 4   stage at t + h/2 through F(t); stages at t + h/3 and t + 2h/3 through both; stages at the Radau nodes
              r = (6 -+ sqrt 6)/10 through F(t) and these two; result through F(t) and the last two

A polynomial through q values of errors O(h^q) leaves a stage with an error O(h^{q+1}), whatever the rate. The nodes 0
and 2/3 make a Radau rule, exact for quadratics, so that a line through two values leaves order three; 0 and r make the
next, exact for quartics. Order 4 has an evaluation more than the cheapest method of its order: it serves to start
multistep methods. In the noise form, order 2 is DPM-Solver-2 (k-diffusion's DPM-2 in another chart), order 3 is DPM-Solver-3; in the data
form, their ++ variants.

References:
    Hochbruck & Ostermann, Exponential integrators, 2010, https://doi.org/10.1017/S0962492910000048, section 2.3
    Lu et al., DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling, 2022,
        https://arxiv.org/abs/2206.00927, algorithms 1 and 2
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from torch import Tensor

from solvers.equations import SemilinearODE
from solvers.method import OneStep, Order
from solvers.multistep import Row, apply, rows

_RADAU = ((6 - math.sqrt(6)) / 10, (6 + math.sqrt(6)) / 10)

_STAGES: dict[int, tuple[tuple[float, tuple[float, ...]], ...]] = {
    1: ((1.0, (0.0,)),),
    2: ((1 / 2, (0.0,)), (1.0, (1 / 2,))),
    3: ((1 / 3, (0.0,)), (2 / 3, (0.0, 1 / 3)), (1.0, (0.0, 2 / 3))),
    4: (
        (1 / 2, (0.0,)),
        *((node, (0.0, 1 / 2)) for node in (1 / 3, 2 / 3)),
        *((node, (0.0, 1 / 3, 2 / 3)) for node in _RADAU),
        (1.0, (0.0, *_RADAU)),
    ),
}
"""For each stage and the result: its place in the step, and the nodes of its polynomial, in units of the step."""


class ExponentialRungeKutta(OneStep):
    """The exponential Runge-Kutta method of order 1 to 4, of as many evaluations a step, but for order 4, which has six."""

    def __init__(self, order: int = 2):
        """Choose the stages."""
        if order not in _STAGES:
            raise ValueError(f"exponential Runge-Kutta has orders 1 to 4, got {order}; choose 2 or 3")
        self.order = order
        self.orders = {SemilinearODE: Order.of(order)}
        self.evaluations = len(_STAGES[order])

    def finish_step(self, equation, x, t, s, first):
        """All stages but the first. A last step to infinity goes by the first field alone."""
        if math.isinf(s - t):
            return apply(stage(equation.rate, t, s, 1.0, (0.0,)), x, [first])
        values: dict[float, Tensor] = {0.0: first}
        for where, nodes in _STAGES[self.order]:
            y = apply(stage(equation.rate, t, s, where, nodes), x, [values[node] for node in nodes])
            if where < 1.0:
                values[where] = equation.forcing(y, t + where * (s - t))
        return y


@lru_cache(maxsize=4096)
def stage(rate: float, t: float, s: float, where: float, nodes: tuple[float, ...]) -> Row:
    """The row of the stage at t + where (s - t)."""
    if math.isinf(s):
        return 0.0, (-1.0 / rate,)
    h = s - t
    at = np.array([[t + node * h for node in nodes]])
    return rows(at, np.array([t]), np.array([t + where * h]), rate)[0]


EXAMPLES = [ExponentialRungeKutta(order) for order in _STAGES]
