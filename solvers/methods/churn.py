r"""EDM's stochastic sampler: go back up a little by adding noise, then come down the flow.

    t^ = t (1 + gamma),  x^ = x_t + spread(t, t^) z;   x_s = a step of the inner method on the flow from t^ to s

with gamma = min(churn/N, sqrt(2) - 1) for a grid of N steps. Adding noise is exact, so that the distribution has the inner method's
order; pathwise the limit is an SDE whose noise the churn sets, and no strong order is declared.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, algorithm 2
"""

from __future__ import annotations

import math

from solvers.elementwise import axpy
from solvers.equations import ODE, RenoisedODE
from solvers.method import Method, OneStep, Order, noise
from solvers.methods.heun import Heun


class Churn(Method):
    """The sampler around a one-step method for ODEs; `amount` is the paper's S_churn, in units of one e-fold a grid."""

    def __init__(self, amount: float = 40.0, inner: OneStep | None = None):
        """The inner method is Heun's unless another is given."""
        if not amount >= 0:
            raise ValueError(f"the churn must be at least 0, got {amount}; 0 is the flow itself")
        self.amount, self.inner = amount, Heun() if inner is None else inner
        self.orders = {RenoisedODE: Order(strong=None, weak=self.inner.orders[ODE].weak)}
        self.evaluations = self.inner.evaluations

    def init(self, equation, x, grid):
        """gamma of this grid."""
        return min(self.amount / (len(grid) - 1), math.sqrt(2) - 1)

    def step(self, equation, x, t, s, path, state):
        """The inner method's evaluations, one increment."""
        up = t * (1 + state)
        if state > 0:
            x = axpy(x, equation.spread(t, up) / abs(s - t) ** 0.5, noise(path, t, s))
        return self.inner.finish_step(equation, x, up, s, equation.drift(x, up)), state
