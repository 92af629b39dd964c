"""The square of a projection: the simplest phase retrieval, with two answers."""

from __future__ import annotations

import math

from torch import Tensor

from sde_diffusion.observations.base import Projection


class Square(Projection):
    """y = z^2 + std eps, z = <direction, x_0>: the sign of z is not seen.

    Args:
        y: a number.
        direction: of shape *E.
        std: of the noise, above 0.

    Raises ValueError for noise that is not above 0.
    """

    def __init__(self, y: float, direction: Tensor, std: float, offset: float = 0.0) -> None:
        super().__init__(direction, offset)
        if not 0 < std < math.inf:
            raise ValueError(f"the noise has a standard deviation above 0, got {std:g}; give a small one, such as 0.01")
        self.y, self.std = float(y), float(std)

    def log_likelihood(self, z: Tensor) -> Tensor:
        """log N(y; z^2, std^2)."""
        return -((self.y - z.square()) / self.std).square() / 2 - math.log(self.std * math.sqrt(2 * math.pi))

    def _along(self, direction: Tensor, offset: float) -> Square:
        return Square(self.y, direction, self.std, offset)
