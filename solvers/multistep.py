r"""Adams formulas on any grid, with an exact exponential for the linear part.

For dy/dt = a y + F(y, t), variation of constants over a step from t to s reads

    y_s = e^{a (s - t)} y_t + integral_t^s e^{a (s - tau)} F(y(tau), tau) dtau.                                  (1)

Replacing F by the polynomial through some of its values gives y_s = e^{a h} y_t + sum_j w_j F_j with

    w_j = integral_t^s e^{a (s - tau)} L_j(tau) dtau,   L_j the Lagrange polynomials of the nodes.               (2)

Nodes at t and before make an explicit formula (a = 0: Adams-Bashforth), a node at s as well an implicit one (a = 0:
Adams-Moulton). The integrals are Gauss-Legendre sums, exact to rounding: of 4 nodes for a = 0 (polynomials of degree
7), of 12 for |a h| <= 3, of 48 for |a h| <= 30. The coefficients of the whole grid are computed once, in float64, and
reach the update as Python floats, one fused operation for each field. A last step to
a (s - t) = -infinity has w_0 = -1/a: the linear part decays to zero.

References:
    Hochbruck & Ostermann, Exponential multistep methods of Adams-type, 2011, https://doi.org/10.1007/s10543-011-0332-6
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.5
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from solvers.elementwise import axpy, axpy_, scale
from solvers.equations import Equation
from solvers.method import Method, OneStep, Order, field

TABLES = 64
"""Tables kept of each kind: those of one grid serve every chunk of samples."""

_NOWHERE = 10.0 ** np.arange(200, 206)

Row = tuple[float, tuple[float, ...]]
"""The factor e^{a h} of a step and its weights (2), newest field first."""


class History(NamedTuple):
    """What a multistep method keeps: its table of coefficients, the row to use next, the newest fields first."""

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
        return self.starter.finish_step(equation, x, t, s, first), History(state.table, state.row + 1, fields)


def rate(equation: Any) -> float:
    """The rate of the linear part that a formula integrates exactly."""
    return getattr(equation, "rate", 0.0)


def adams_table(grid: Sequence[float], order: int, rate: float = 0.0) -> Sequence[Row]:
    """The explicit formulas, one row for every step of the grid; the i-th step uses min(i + 1, order) fields."""
    return _adams(tuple(grid), order, rate)


def moulton_table(grid: Sequence[float], order: int, rate: float = 0.0) -> Sequence[Row]:
    """The implicit formulas: the i-th step uses min(i + 1, order) fields up to t_i and the one at its end."""
    return _moulton(tuple(grid), order, rate)


@lru_cache(TABLES)
def _adams(grid: tuple[float, ...], order: int, rate: float) -> tuple[Row, ...]:
    endless = math.isinf(grid[-1])
    finite = grid[:-1] if endless else grid
    table = _table(_windows(finite, order), slice(-2, None, -1), rate)
    if endless:
        table.append(_row_to_infinity(rate * (grid[-1] - grid[-2]), rate, min(order, len(finite))))
    return tuple(table)


@lru_cache(TABLES)
def _moulton(grid: tuple[float, ...], order: int, rate: float) -> tuple[Row, ...]:
    finite = grid[:-1] if math.isinf(grid[-1]) else grid
    return tuple(_table(_windows(finite, order), slice(None, None, -1), rate))


def _windows(grid: Sequence[float], order: int) -> np.ndarray:
    """For every step up to `order` times up to its beginning, and its end: (steps, order + 1).

    Where the history is shorter, the times before are 10^200 and beyond: a Lagrange polynomial does not see them,
    for (tau - node)/(t - node) = 1 there, to the last bit.
    """
    times = np.asarray(grid, dtype=np.float64)
    width = max(1, min(order, len(times) - 1))
    if len(times) == 1:
        return np.empty((0, 2))
    return sliding_window_view(np.concatenate([_NOWHERE[: width - 1], times]), width + 1)


def _table(windows: np.ndarray, nodes: slice, rate: float) -> list[Row]:
    """The rows of all steps at once, without the weights of nodes that are nowhere."""
    chosen = windows[:, nodes]
    known = (np.abs(chosen) < _NOWHERE[0]).sum(-1).tolist()
    table = rows(chosen, windows[:, -2], windows[:, -1], rate)
    return [(factor, weights[:count]) for (factor, weights), count in zip(table, known, strict=True)]


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
    u, w = _gauss_legendre(_enough(float(np.abs(rate * (s - t)).max(initial=0.0))))
    h, end = (s - t)[..., None], s[..., None]
    tau = t[..., None] + h * u
    kernel = h * w * np.exp(rate * (end - tau))
    return np.sum(kernel[..., None, :] * _lagrange(nodes, tau), -1)


def _lagrange(nodes: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """The polynomials that are 1 at one of the nodes (..., k) and 0 at the others, at tau (..., Q): (..., k, Q)."""
    own = np.eye(nodes.shape[-1], dtype=bool)
    gaps = np.where(own, 1.0, nodes[..., :, None] - nodes[..., None, :])
    factors = (tau[..., None, None, :] - nodes[..., None, :, None]) / gaps[..., None]
    return np.multiply.reduce(np.where(own[..., None], 1.0, factors), -2)


def _enough(stiffness: float) -> int:
    """Nodes for the integral of e^{a (s - tau)} times a polynomial of degree 6, for the largest |a h|."""
    return 4 if stiffness == 0 else (12 if stiffness <= 3 else 48)


@cache
def _gauss_legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    u, w = np.polynomial.legendre.leggauss(count)
    return (u + 1) / 2, w / 2


def apply(row: Row, x: Tensor, fields: Sequence[Tensor]) -> Tensor:
    """e^{a h} x + sum_j w_j F_j, into one new tensor."""
    factor, weights = row
    y = axpy(x if factor == 1.0 else scale(factor, x), weights[0], fields[0])
    for weight, value in zip(weights[1:], fields[1:], strict=False):
        axpy_(y, weight, value)
    return y


def advance(x: Tensor, newest: Tensor, history: History) -> tuple[Tensor, History]:
    """Apply the next row of the table, and the history with the new field in front."""
    row = history.table[history.row]
    fields = (newest, *history.fields)[: len(row[1])]
    return apply(row, x, fields), History(history.table, history.row + 1, fields)
