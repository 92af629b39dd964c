"""Exponential Adams methods on any grid."""

from __future__ import annotations

from solvers.equations import SemilinearODE
from solvers.method import Method, Order
from solvers.multistep import History, adams_table, advance


class ExponentialAdams(Method):
    """y_s = e^{a h} y_t + sum_j w_j F_j with the weights of `solvers.multistep`. One evaluation a step.

    On the data form of the probability flow k = 1 is DDIM, k = 2 is DPM-Solver++(2M); on the noise form it is DEIS. The
    first steps use the formulas of lower order: the declared order is min(k, 2).

    References:
        Hochbruck & Ostermann, Exponential multistep methods of Adams-type, 2011,
            https://doi.org/10.1007/s10543-011-0332-6
        Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095
        Zhang & Chen, Fast Sampling of Diffusion Models with Exponential Integrator, 2022,
            https://arxiv.org/abs/2204.13902
    """

    def __init__(self, k: int = 2):
        """k is the number of fields that a step combines, 1 to 6."""
        if not 1 <= k <= 6:
            raise ValueError(f"exponential Adams combines 1 to 6 fields, got {k}; choose 2 or 3")
        self.k = k
        self.orders = {SemilinearODE: Order.of(min(k, 2))}

    def init(self, equation, x, grid):
        """The table of the whole grid."""
        return History(adams_table(grid, self.k, equation.rate))

    def step(self, equation, x, t, s, path, state):
        """One evaluation."""
        return advance(x, equation.forcing(x, t), state)


EXAMPLES = [ExponentialAdams(1), ExponentialAdams(2)]
