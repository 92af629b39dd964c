"""A multistep method given by its table of numbers: what tuning learns."""

from __future__ import annotations

from collections.abc import Sequence

from solvers.equations import ODE
from solvers.method import Method, Order
from solvers.multistep import History, advance


class Tabulated(Method):
    """x_{i+1} = x_i + sum_j w_ij drift_{i-j}: step i has weights of its own, newest field first, for one grid only.

    The weights carry the step sizes. No order is declared: a table serves the number of steps that it was made for.

    References:
        Shaul et al., Bespoke Non-Stationary Solvers for Fast Sampling of Diffusion and Flow Models, 2024,
            https://arxiv.org/abs/2403.01329
    """

    orders = {ODE: Order.of(0)}

    def __init__(self, table: Sequence[Sequence[float]]):
        """Row i holds the weights of step i, at most i + 1 of them."""
        self.table = tuple(tuple(float(w) for w in row) for row in table)
        if not self.table or any(not 1 <= len(row) <= i + 1 for i, row in enumerate(self.table)):
            raise ValueError(
                "step i of a table takes 1 to i + 1 weights, one for each field known by then; mend the table"
            )

    def init(self, equation, x, grid):
        """Refuses a grid of another length. Raises ValueError."""
        if len(grid) - 1 != len(self.table):
            raise ValueError(
                f"the table is for {len(self.table)} steps, got a grid of {len(grid) - 1}; use its own grid"
            )
        width = max(map(len, self.table))
        return History([(1.0, row + (0.0,) * (min(i + 1, width) - len(row))) for i, row in enumerate(self.table)])

    def step(self, equation, x, t, s, path, state):
        """One evaluation."""
        return advance(x, equation.drift(x, t), state)


EXAMPLES: list[Tabulated] = []
