"""A multistep sampler whose weights belong to the step before: right on smooth grids, of order one on others."""

from __future__ import annotations

from solvers import ODE, Method, Order
from solvers.testing import check_method

CHECK, CAUSE = "order on alternating steps (ODE)", r"an index"


class Adams(Method):
    """Two fields, the weights of step i by the ratio of step i - `late` and its predecessor."""

    orders = {ODE: Order.of(2)}

    def __init__(self, late=1):
        self.late = late

    def init(self, equation, x, grid):
        return 0, list(grid), None

    def step(self, equation, x, t, s, path, state):
        i, grid, before = state
        first, h = equation.drift(x, t), s - t
        if before is None:
            return x + h * equation.drift(x + h / 2 * first, t + h / 2), (1, grid, first)
        j = max(i - self.late, 1)
        ratio = (grid[j + 1] - grid[j]) / (grid[j] - grid[j - 1])
        return x + h * (first + ratio / 2 * (first - before)), (i + 1, grid, first)


def report():
    return check_method(Adams())


def sound():
    return check_method(Adams(late=0))
