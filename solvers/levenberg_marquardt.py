r"""Levenberg and Marquardt's method for nonlinear least squares.

For a sum of squares with gradient g and Gauss-Newton matrix H = J^T J, a step solves

    (H + mu diag(H)) step = -g.                                                                                     (1)

mu falls after a step that lowers the sum and grows until one does. Scaling by diag(H) makes the steps independent of the
units of each parameter.

References:
    Marquardt, An Algorithm for Least-Squares Estimation of Nonlinear Parameters, 1963, https://doi.org/10.1137/0111030
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_FIRST, _LESS, _MORE = 1e-3, 1 / 4, 5.0
_LEAST, _MOST = 1e-13, 1e8


def levenberg_marquardt(
    theta: Tensor, value: Callable[[Tensor], float], normal: Callable[[Tensor], tuple[Tensor, Tensor]]
) -> Iterator[tuple[Tensor, float]]:
    """Yields (parameters (P,), value) after each step that lowers the value; ends when none does.

    Args:
        value: half the sum of squares at theta, up to a factor shared with `normal`; nan where there is none.
        normal: (H (P, P), g (P,)) at theta.
    """
    best, mu = value(theta), _FIRST
    while True:
        matrix, gradient = normal(theta)
        found = None
        while found is None and mu < _MOST:
            tried = theta + _step(matrix, gradient, mu)
            new = value(tried)
            found, mu = (tried, max(mu * _LESS, _LEAST)) if new < best else (None, mu * _MORE)
        if found is None:
            return
        theta, best = found, new
        yield theta, best


def _step(matrix: Tensor, gradient: Tensor, mu: float) -> Tensor:
    """Equation (1), in the units that make the diagonal of H one."""
    unit = matrix.diagonal().clamp_min(torch.finfo(matrix.dtype).tiny).sqrt()
    scaled = matrix / unit / unit.unsqueeze(1) + mu * torch.eye(len(unit), dtype=matrix.dtype)
    return -torch.linalg.solve(scaled, gradient / unit) / unit
