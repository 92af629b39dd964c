"""One bit: on which side of 0 a noisy projection lies."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sde_diffusion.observations.base import Projection


class OneBit(Projection):
    """y = sign(z + std eps), z = <direction, x_0>: p(y | z) = Phi(y z/std), the probit law.

    Args:
        y: 1 or -1.
        direction: of shape *E.
        std: of the noise before the sign is taken, above 0.

    Raises ValueError for another y.
    """

    def __init__(self, y: int, direction: Tensor, std: float, offset: float = 0.0) -> None:
        super().__init__(direction, offset)
        if y not in (1, -1) or not 0 < std < math.inf:
            raise ValueError(f"one bit is 1 or -1, seen with noise above 0, got {y} and {std:g}; write 2 * bit - 1")
        self.y, self.std = y, float(std)

    def log_likelihood(self, z: Tensor) -> Tensor:
        """log Phi(y z/std)."""
        return torch.special.log_ndtr(self.y * z / self.std)

    def _along(self, direction: Tensor, offset: float) -> OneBit:
        return OneBit(self.y, direction, self.std, offset)
