r"""Processes whose noise depends on the state, coordinate by coordinate.

    dx_i = drift_i(x, t) dt + g_i(x, t) dW_i,   in the sense of Ito                                              (1)

The probability of x changes as the flow with the velocity

    drift - 1/2 (d(g^2) + g^2 grad log p_t),   d(g^2)_i = d(g_i^2)/dx_i,                                         (2)

and with Langevin dynamics of the same noise added, at a stochasticity eta, run backwards:

    dx = (drift - (1 + eta^2)/2 (d(g^2) + g^2 grad log p_t)) dt + eta g dW.                                      (3)

References:
    Haussmann & Pardoux, Time reversal of diffusions, 1986, https://doi.org/10.1214/aop/1176992362
    Anderson, Reverse-time diffusion equation models, 1982, https://doi.org/10.1016/0304-4149(82)90051-5
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from sde_diffusion.sde.base import SDE
from solvers.elementwise import Coefficient, scale
from solvers.equations import DiagonalSDE, Equation


class StateDependentSDE(SDE):
    """Equation (1): `diffusion` takes the state too."""

    @abstractmethod
    def diffusion(self, x: Tensor, t: Coefficient) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """g(x, t) itself, never g^2: (B, *E) at states x (B, *E)."""

    def noise_slope(self, x: Tensor, t: Coefficient) -> Tensor:
        """d(g_i^2)/dx_i, (B, *E), by one backward derivative for each coordinate: write it down where there are many."""
        variance, pull, *_ = torch.func.vjp(lambda x: self.diffusion(x, t).flatten(1) ** 2, x)
        ones = torch.eye(variance.shape[1], dtype=x.dtype, device=x.device)
        rows = [pull(row.expand_as(variance))[0].flatten(1)[:, i] for i, row in enumerate(ones)]
        return torch.stack(rows, 1).reshape(x.shape)

    def reverse_drift(self, model: Callable[..., Tensor], x: Tensor, t: Coefficient, weight: float) -> Tensor:
        """drift - weight (d(g^2) + g^2 score), equation (3)."""
        spread = self.noise_slope(x, t) + self.diffusion(x, t) ** 2 * self.score(model, x, t)
        return self.drift(x, t) - scale(weight, spread)

    def equation(self, drift: Callable[[Tensor, Coefficient], Tensor], eta: float = 1.0) -> Equation:
        """dx = drift(x, t) dt + eta g(x, t) dW."""
        return DiagonalSDE(drift, lambda x, t: eta * self.diffusion(x, t))
