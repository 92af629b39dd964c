r"""Adams formulas on any grid, with an exact exponential for the linear part.

For dy/dt = a y + F(y, t), variation of constants over a step from t to s reads

    y_s = e^{a (s - t)} y_t + integral_t^s e^{a (s - tau)} F(y(tau), tau) dtau.                                  (1)

Replacing F by the polynomial through some of its values gives y_s = e^{a h} y_t + sum_j w_j F_j with

    w_j = integral_t^s e^{a (s - tau)} L_j(tau) dtau,   L_j the Lagrange polynomials of the nodes.               (2)

Nodes at t and before make an explicit formula (a = 0: Adams-Bashforth), a node at s as well an implicit one (a = 0:
Adams-Moulton). The integrals are Gauss-Legendre sums of 48 nodes, exact to rounding for |a h| <= 30; the coefficients
of the whole grid are computed once, in float64, and reach the update as Python floats. A last step to
a (s - t) = -infinity has w_0 = -1/a: the linear part forgets everything.

References:
    Hochbruck & Ostermann, Exponential multistep methods of Adams-type, 2011, https://doi.org/10.1007/s10543-011-0332-6
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.5
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from solvers.elementwise import axpy, scale
from solvers.equations import Equation
from solvers.method import Method, OneStep, Order, field

_NODES = 48

Row = tuple[float, tuple[float, ...]]
"""The factor e^{a h} of a step and its weights (2), newest field first."""


class History(NamedTuple):
    """What a multistep method remembers: its table of coefficients, the row to use next, the newest fields first."""

    table: Sequence[Row]
    row: int = 0
    fields: tuple[Tensor, ...] = ()


class Multistep(Method):
    """An explicit Adams method of k fields for one kind of equation, `kind`; one evaluation a step.

    The first k - 1 steps are taken by `starter`, a one-step method of order k - 1 or more for the same kind of equation,
    or, without one, by the formulas of lower order: the start then costs nothing more and leaves an error of order two.
    """

    kind: ClassVar[type[Equation]]

    def __init__(self, k: int = 2, starter: OneStep | None = None):
        """k is the number of fields that a step combines, 1 to 6."""
        if not 1 <= k <= 6:
            raise ValueError(f"{type(self).__name__} combines 1 to 6 fields, got {k}; choose 2 to 4")
        self.k, self.starter = k, starter
        self.orders = {self.kind: Order.of(min(k, self.start_order() + 1))}

    def start_order(self) -> float:
        """The order of the steps that fill the history: their local errors are of one order more, and are few."""
        if self.starter is None:
            return 1
        if self.kind not in self.starter.orders:
            name = type(self.starter).__name__
            raise TypeError(f"the starter {name} does not integrate {self.kind.__name__}; choose one that does")
        return self.starter.orders[self.kind].weak

    def init(self, equation: Any, x: Tensor, grid: Sequence[float]) -> History:
        """The table of the whole grid."""
        return History(adams_table(grid, self.k, rate(equation)))

    def step(self, equation, x, t, s, path, state):
        """One evaluation; the starter's as well while the history fills."""
        first = field(equation)(x, t)
        if self.starter is None or state.row >= self.k - 1:
            return advance(x, first, state)
        fields = (first, *state.fields)
        return self.starter.onward(equation, x, t, s, first), History(state.table, state.row + 1, fields)


def rate(equation: Any) -> float:
    """The rate of the linear part that a formula integrates exactly."""
    return getattr(equation, "rate", 0.0)


def adams_table(grid: Sequence[float], order: int, rate: float = 0.0) -> list[Row]:
    """The explicit formulas, one row for every step of the grid; the i-th step uses min(i + 1, order) fields."""
    endless = math.isinf(grid[-1])
    finite = grid[:-1] if endless else grid
    table = _table(finite, order, lambda windows: windows[:, -2::-1], rate)
    if endless:
        table.append(_row_to_infinity(rate * (grid[-1] - grid[-2]), rate, min(order, len(finite))))
    return table


def moulton_table(grid: Sequence[float], order: int, rate: float = 0.0) -> list[Row]:
    """The implicit formulas: the i-th step uses min(i + 1, order) fields up to t_i and the one at its end."""
    finite = grid[:-1] if math.isinf(grid[-1]) else grid
    return _table(finite, order, lambda windows: windows[:, ::-1], rate)


def _table(grid: Sequence[float], order: int, nodes: Callable[[np.ndarray], np.ndarray], rate: float) -> list[Row]:
    """Formulas that grow as the history fills: the first window of k times and an end, then all of the full order.

    All windows of one length are computed at once.
    """
    times = np.asarray(grid, dtype=np.float64)
    table: list[Row] = []
    for k in range(1, min(order, len(times) - 1) + 1):
        windows = sliding_window_view(times, k + 1)
        chosen = windows if k == order else windows[:1]
        table += rows(nodes(chosen), chosen[:, -2], chosen[:, -1], rate)
    return table


def rows(nodes: np.ndarray, t: np.ndarray, s: np.ndarray, rate: float) -> list[Row]:
    """The rows of steps from t (R,) to s (R,) with nodes (R, k)."""
    weights = exponential_weights(nodes, t, s, rate)
    return [(math.exp(rate * h), tuple(row)) for h, row in zip((s - t).tolist(), weights.tolist(), strict=True)]


def _row_to_infinity(decay: float, rate: float, count: int) -> Row:
    if decay != -math.inf:
        raise ValueError("only a decaying linear part can be carried to infinity; stop the grid at a finite time")
    return 0.0, (-1.0 / rate, *(0.0,) * (count - 1))


def exponential_weights(nodes: np.ndarray, t: np.ndarray, s: np.ndarray, rate: float) -> np.ndarray:
    """The weights (2) of the values at nodes (..., k) for the steps from t (...) to s (...), shape (..., k)."""
    u, w = _gauss_legendre()
    h, end = (s - t)[..., None], s[..., None]
    tau = t[..., None] + h * u
    kernel = h * w * np.exp(rate * (end - tau))
    return np.stack([np.sum(kernel * _lagrange(nodes, j, tau), -1) for j in range(nodes.shape[-1])], -1)


def _lagrange(nodes: np.ndarray, j: int, tau: np.ndarray) -> np.ndarray:
    """The polynomial that is 1 at node j and 0 at the others, at the points tau (..., Q)."""
    value = np.ones_like(tau)
    for i in range(nodes.shape[-1]):
        if i != j:
            node = nodes[..., i, None]
            value *= (tau - node) / (nodes[..., j, None] - node)
    return value


@cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    u, w = np.polynomial.legendre.leggauss(_NODES)
    return (u + 1) / 2, w / 2


def apply(row: Row, x: Tensor, fields: Sequence[Tensor]) -> Tensor:
    """e^{a h} x + sum_j w_j F_j."""
    factor, weights = row
    y = x if factor == 1.0 else scale(factor, x)
    for weight, value in zip(weights, fields, strict=False):
        y = axpy(y, weight, value)
    return y


def advance(x: Tensor, newest: Tensor, history: History) -> tuple[Tensor, History]:
    """Apply the next row of the table, and the history with the new field in front."""
    row = history.table[history.row]
    fields = (newest, *history.fields)[: len(row[1])]
    return apply(row, x, fields), History(history.table, history.row + 1, fields)
