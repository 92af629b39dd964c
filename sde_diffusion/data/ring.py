"""Gaussians evenly spaced on a circle: the test of reaching every mode."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.data.mixture import Mixture


@dataclass(frozen=True)
class Ring(Mixture):
    """`modes` >= 3 equally likely Gaussians of deviation s on the circle of radius sqrt(2 (1 - s^2)): unit variance in
    each coordinate, since a coordinate of the circle has variance radius^2 / 2.
    """

    modes: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.modes < 3:
            raise ValueError(f"a ring has at least 3 modes, got {self.modes}; for 2, take TwoGaussians")

    @property
    def means(self) -> Tensor:
        """The modes, float64 (K, 2)."""
        angles = torch.arange(self.modes, dtype=torch.float64) * (2 * math.pi / self.modes)
        return math.sqrt(2 * (1 - self.std**2)) * torch.stack([angles.cos(), angles.sin()], dim=-1)

    @property
    def weights(self) -> Tensor:
        """Their probabilities, float64 (K,)."""
        return torch.full((self.modes,), 1 / self.modes, dtype=torch.float64)
