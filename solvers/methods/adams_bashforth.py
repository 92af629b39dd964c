"""Adams-Bashforth methods on any grid."""

from __future__ import annotations

from solvers.equations import ODE
from solvers.method import Method, Order
from solvers.multistep import History, adams_table, advance


class AdamsBashforth(Method):
    """x_s = x_t + sum_j w_j drift_j with the weights of `solvers.multistep`, rate 0. One evaluation a step.

    The first steps use the formulas of lower order, so that the error of the start is of order two: the declared order
    is min(k, 2).

    References:
        Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.5
    """

    def __init__(self, k: int = 2):
        """k is the number of fields that a step combines, 1 to 6."""
        if not 1 <= k <= 6:
            raise ValueError(f"Adams-Bashforth combines 1 to 6 fields, got {k}; choose 2 to 4")
        self.k = k
        self.orders = {ODE: Order.of(min(k, 2))}

    def init(self, equation, x, grid):
        """The table of the whole grid."""
        return History(adams_table(grid, self.k))

    def step(self, equation, x, t, s, path, state):
        """One evaluation."""
        return advance(x, equation.drift(x, t), state)


EXAMPLES = [AdamsBashforth(1), AdamsBashforth(2)]
