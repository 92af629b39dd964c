r"""Coefficients of explicit Adams formulas on any grid, with an exact exponential for the linear part.

For dy/dt = a y + F(y, t), variation of constants over a step from t to s reads

    y_s = e^{a (s - t)} y_t + integral_t^s e^{a (s - tau)} F(y(tau), tau) dtau.                                  (1)

Replacing F by the polynomial through its last k values gives y_s = e^{a h} y_t + sum_j w_j F_j with

    w_j = integral_t^s e^{a (s - tau)} L_j(tau) dtau,   L_j the Lagrange polynomials of the nodes.               (2)

a = 0 is Adams-Bashforth on a non-uniform grid; k = 1 is exponential Euler. The integrals are Gauss-Legendre sums of 48
nodes, exact to rounding for |a h| <= 30; the coefficients of the whole grid are computed once, in float64, and reach
the update as Python floats. A last step to a (s - t) = -infinity has w_0 = -1/a: the linear part forgets everything.

References:
    Hochbruck & Ostermann, Exponential multistep methods of Adams-type, 2011, https://doi.org/10.1007/s10543-011-0332-6
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.5
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from torch import Tensor

from solvers.elementwise import axpy, scale

_NODES = 48

Row = tuple[float, tuple[float, ...]]
"""The factor e^{a h} of a step and its weights (2), newest field first."""


class History(NamedTuple):
    """What a multistep method remembers: its table of coefficients, the row to use next, the newest fields first."""

    table: Sequence[Row]
    row: int = 0
    fields: tuple[Tensor, ...] = ()


def adams_table(grid: Sequence[float], order: int, rate: float = 0.0) -> list[Row]:
    """One row for every step of the grid; the i-th step uses min(i + 1, order) fields.

    The formula grows from Euler's as the history fills: the first window of k times and the step's end gets k weights,
    every later window of the full order as well. All windows of one length are computed at once.
    """
    endless = math.isinf(grid[-1])
    times = np.asarray(grid[:-1] if endless else grid, dtype=np.float64)
    table: list[Row] = []
    for k in range(1, min(order, len(times) - 1) + 1):
        windows = sliding_window_view(times, k + 1)
        table += _rows(windows if k == order else windows[:1], rate)
    if endless:
        table.append(_row_to_infinity(rate * (grid[-1] - grid[-2]), rate, min(order, len(times))))
    return table


def _rows(windows: np.ndarray, rate: float) -> list[Row]:
    """The rows of windows (R, k + 1) that hold k nodes, oldest first, and the end of the step."""
    nodes, t, s = windows[:, -2::-1], windows[:, -2], windows[:, -1]
    weights = exponential_weights(nodes, t, s, rate)
    return [(math.exp(rate * h), tuple(row)) for h, row in zip((s - t).tolist(), weights.tolist(), strict=True)]


def _row_to_infinity(decay: float, rate: float, count: int) -> Row:
    if decay != -math.inf:
        raise ValueError("only a decaying linear part can be carried to infinity; stop the grid at a finite time")
    return 0.0, (-1.0 / rate, *(0.0,) * (count - 1))


def exponential_weights(nodes: ArrayLike, t: ArrayLike, s: ArrayLike, rate: float) -> np.ndarray:
    """The weights (2) of the values at nodes (..., k) for the steps from t (...) to s (...), shape (..., k)."""
    u, w = _gauss_legendre()
    nodes, start, end = np.asarray(nodes), np.asarray(t)[..., None], np.asarray(s)[..., None]
    tau = start + (end - start) * u
    kernel = (end - start) * w * np.exp(rate * (end - tau))
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


def advance(x: Tensor, field: Tensor, history: History) -> tuple[Tensor, History]:
    """Apply one row of the table: e^{a h} x + sum_j w_j F_j, and the history with the new field in front."""
    factor, weights = history.table[history.row]
    fields = (field, *history.fields)[: len(weights)]
    y = x if factor == 1.0 else scale(factor, x)
    for weight, value in zip(weights, fields, strict=True):
        y = axpy(y, weight, value)
    return y, History(history.table, history.row + 1, fields)
