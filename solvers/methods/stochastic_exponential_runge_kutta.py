r"""Stochastic exponential Runge-Kutta: SEEDS.

Variation of constants for dy = (a y + F(y, t)) dt + dN, with N(t, s) the stochastic convolution over a step, m its middle:

    y_m = e^{a h/2} y_t + integral_t^m e^{a (m - tau)} dtau F(y_t, t) + N(t, m)                                    (1)
    y_s = e^{a h} y_t + integral_t^s e^{a (s - tau)} dtau F(y_m, m) + e^{a h/2} N(t, m) + N(m, s)                  (2)

Both stages see one path: the noise of (2) is the exact convolution, for spread(t, s)^2 = e^{a h} spread(t, m)^2 +
spread(m, s)^2, and holds the noise that the stage has felt. That is what the weak order two rests on: with I the noise up
to the stage and J that of the step, E[I J] and E[I^2] are half of E[J^2], as they are on average over the step for the
path itself.

References:
    Gonzalez et al., SEEDS: Exponential SDE Solvers for Fast High-Quality Sampling from Diffusion Models, 2023,
        https://arxiv.org/abs/2305.14267
"""

from __future__ import annotations

from solvers.equations import SemilinearSDE
from solvers.method import Method, Order
from solvers.methods.exponential_euler import convolution, convolve
from solvers.methods.exponential_runge_kutta import stage
from solvers.multistep import apply


class StochasticExponentialRungeKutta(Method):
    """The exponential midpoint rule with exact noise: weak order 2, strong order 1; two evaluations, two increments.

    On the data form with stochasticity it is SEEDS-2 with a data prediction. Its one-stage variant is `ExponentialEuler`.
    """

    orders = {SemilinearSDE: Order(strong=1, weak=2)}
    evaluations = 2

    def step(self, equation, x, t, s, path, state):
        """Equations (1) and (2)."""
        middle = t + (s - t) / 2
        felt = convolution(equation, t, middle, path)
        inner = apply(stage(equation.rate, t, s, 1 / 2, (0.0,)), x, [equation.forcing(x, t)]) + felt
        y = apply(stage(equation.rate, t, s, 1.0, (0.0,)), x, [equation.forcing(inner, middle)])
        kept, _ = stage(equation.rate, t, s, 1 / 2, (0.0,))
        return convolve(y.add_(felt, alpha=kept), equation, middle, s, path), state
