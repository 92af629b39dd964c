"""Any differentiable function of a sample, seen with Gaussian noise."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sde_diffusion.observations.base import Measurement


class Function(Measurement):
    """y = h(x_0) + std eps.

    Args:
        y: shape *M.
        h: (B, *E) -> (B, *M), differentiable, each sample by itself.
        std: of the noise.
    """

    def __init__(self, y: Tensor, h: Callable[[Tensor], Tensor], std: float) -> None:
        super().__init__(y, std)
        self.h = h

    def apply(self, x0: Tensor) -> Tensor:
        """h(x_0), shape (B, *M)."""
        return self.h(x0)
