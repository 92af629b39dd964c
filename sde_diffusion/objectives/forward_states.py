r"""Where the states x_t of a loss come from: the closed-form channel of a linear process, or simulated paths of any.

References:
    Kloeden & Platen, Numerical Solution of Stochastic Differential Equations, 1992, section 10.2 (Euler-Maruyama)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.sde.base import SDE
from solvers.elementary import sqrt
from solvers.elementwise import Coefficient, axpy, scale

States = Callable[[Any, Tensor, Tensor, torch.Generator | None], Tensor]
"""(sde, x_0 (B, *E), times (B,), generator) -> x_t (B, *E), each sample at its own time."""


def through_kernel(sde: Any, x0: Tensor, t: Tensor, generator: torch.Generator | None) -> Tensor:
    """alpha x_0 + sigma eps, for a `LinearSDE`."""
    return sde.kernel(t).perturb(x0, normal_like(x0, generator))


@dataclass(frozen=True)
class Simulated:
    """Euler-Maruyama in `steps` equal steps from 0 to each sample's own time, for any process; weak order one."""

    steps: int = 50

    def __post_init__(self) -> None:
        """Raises ValueError for fewer than one step."""
        if self.steps < 1:
            raise ValueError(f"a path has at least one step, got {self.steps}; give 50")

    def __call__(self, sde: Any, x0: Tensor, t: Tensor, generator: torch.Generator | None) -> Tensor:
        """x_t (B, *E)."""
        x = x0
        for i in range(self.steps):
            x, _ = euler_maruyama(sde, x, t * (i / self.steps), t / self.steps, generator)
        return x


def euler_maruyama(
    sde: SDE, x: Tensor, t: Tensor, h: Coefficient, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """(x after a step of length h from t, its normal noise), each (B, *E)."""
    noise = normal_like(x, generator)
    x = axpy(x, h, sde.drift(x, t))
    return x + scale(sde.diffusion(t) * sqrt(h), noise), noise


def normal_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers of x's shape, dtype and device."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
