"""A multistep method given by its table of numbers: what tuning learns."""

from __future__ import annotations

from collections.abc import Sequence

from solvers.equations import ODE
from solvers.method import Method, Order
from solvers.multistep import History, advance


class Tabulated(Method):
    """x_{i+1} = a_i x_i + sum_j w_ij drift_{i-j}: step i has weights of its own, newest field first, for one grid only.

    The weights carry the step sizes. No order is declared: a table serves the number of steps that it was made for.

    References:
        Shaul et al., Bespoke Non-Stationary Solvers for Fast Sampling of Diffusion and Flow Models, 2024,
            https://arxiv.org/abs/2403.01329
    """

    orders = {ODE: Order.of(0)}

    def __init__(
        self,
        table: Sequence[Sequence[float]],
        factors: Sequence[float] | None = None,
        times: Sequence[float] | None = None,
    ):
        """Row i holds the weights of step i, at most i + 1 of them.

        Args:
            factors: the a_i, one by default.
            times: the times at which the drift is evaluated, the grid's by default.
        """
        self.table = tuple(tuple(float(w) for w in row) for row in table)
        self.factors = (1.0,) * len(self.table) if factors is None else tuple(map(float, factors))
        self.times = None if times is None else tuple(map(float, times))
        if not self.table or any(not 1 <= len(row) <= i + 1 for i, row in enumerate(self.table)):
            raise ValueError(
                "step i of a table takes 1 to i + 1 weights, one for each field known by then; correct the table"
            )
        if any(len(given) != len(self.table) for given in (self.factors, self.times or self.table)):
            raise ValueError(f"a table of {len(self.table)} steps takes as many factors and times; correct the table")

    def init(self, equation, x, grid):
        """Refuses a grid of another length. Raises ValueError."""
        if len(grid) - 1 != len(self.table):
            raise ValueError(
                f"the table is for {len(self.table)} steps, got a grid of {len(grid) - 1}; use its own grid"
            )
        width = max(map(len, self.table))
        padded = [row + (0.0,) * (min(i + 1, width) - len(row)) for i, row in enumerate(self.table)]
        return History(list(zip(self.factors, padded, strict=True)))

    def step(self, equation, x, t, s, path, state):
        """One evaluation."""
        at = t if self.times is None else self.times[state.row]
        return advance(x, equation.drift(x, at), state)


EXAMPLES: list[Tabulated] = []
