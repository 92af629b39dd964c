r"""The states of a tabulated method and their derivatives in every number of the table, in forward mode.

With theta the numbers of `Table.flat` and Y_i = dy_i/dtheta, differentiating (1) of `solvers.table` gives

    Y_{i+1} = a_i Y_i + sum_j w_ij G_{i-j} + y_i (at a_i) + F_{i-j} (at w_ij),                                      (1)
    G_i = dF/dy Y_i + dF/dt (at t_i).                                                                              (2)

Only numbers of steps up to i move y_i: the columns grow with i. The product in (2) is taken along the columns of Y_i, or
along the coordinates of y where those are fewer; both are the same matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import jvp, vmap

from solvers.table import Table

Drift = Callable[[Tensor, Tensor], Tensor]


def states(drift: Drift, table: Table, y: Tensor) -> Iterator[Tensor]:
    """y_1 to y_n of the table from y (B, *E), with the times and numbers as tensors; `Tabulated` is the same in floats."""
    fields: list[Tensor] = []
    for t, factor, weights in zip(table.times, table.factors, table.weights, strict=True):
        fields.insert(0, drift(y, t))
        y = _row(factor, weights, y, fields)
        yield y


def states_and_derivatives(drift: Drift, table: Table, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """y_i (B, *E) and dy_i/dtheta (B, P_i, *E) after each step, for the first P_i numbers of `table.flat()`."""
    fields: list[Tensor] = []
    moved: list[Tensor] = []
    tangents = y.new_zeros(len(y), 0, *y.shape[1:])
    for t, factor, weights in zip(table.times, table.factors, table.weights, strict=True):
        at_time, field, along = _pushed(drift, y, t, tangents)
        fields.insert(0, field)
        moved.insert(0, torch.cat([along, at_time.unsqueeze(1)], 1))
        tangents = _next(factor.item(), weights.tolist(), tangents, moved, y, fields)
        y = _row(factor, weights, y, fields)
        yield y, tangents


def _row(factor: Tensor, weights: Tensor, y: Tensor, fields: list[Tensor]) -> Tensor:
    """Equation (1) of `solvers.table`."""
    for weight, value in zip(weights, fields, strict=True):
        y = (factor * y if value is fields[0] else y) + weight.to(y.device) * value
    return y


def _next(factor, weights, tangents: Tensor, moved: list[Tensor], y: Tensor, fields: list[Tensor]) -> Tensor:
    """Equation (1): the columns so far, then those of this step's time, factor and weights."""
    before = tangents.shape[1]
    columns = torch.cat([factor * tangents, torch.zeros_like(y).unsqueeze(1), torch.stack([y, *fields], 1)], 1)
    for weight, column in zip(weights, moved, strict=True):
        columns[:, : column.shape[1]].add_(column, alpha=weight)
    assert columns.shape[1] == before + 2 + len(fields)
    return columns


def _pushed(drift: Drift, y: Tensor, t: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """dF/dt, F and dF/dy Y, the parts of equation (2)."""
    field, at_time = jvp(lambda s: drift(y, s), (t,), (torch.ones_like(t),))[:2]
    count, size = tangents.shape[1], y[0].numel()
    if count == 0:
        return at_time, field, tangents
    along = vmap(lambda v: jvp(lambda z: drift(z, t), (y,), (v,))[1], in_dims=1, out_dims=1)
    if count <= size:
        return at_time, field, along(tangents)
    units = torch.eye(size, dtype=y.dtype, device=y.device).reshape(1, size, *y.shape[1:])
    jacobian = along(units.expand(len(y), *units.shape[1:])).flatten(2)
    return at_time, field, (tangents.flatten(2) @ jacobian).reshape(tangents.shape)
