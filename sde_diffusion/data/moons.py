r"""Two interleaved half circles.

Before standardising, the upper moon is (cos a, sin a), the lower (1 - cos a, 1/2 - sin a), a uniform on [0, pi], each
chosen with probability 1/2, plus noise of deviation s. The moments follow from E[sin a] = 2/pi, E[cos a] = 0 and
E[sin^2 a] = E[cos^2 a] = 1/2:

    mean      (1/2, 1/4)
    variance  (3/4 + s^2,  9/16 - 1/pi + s^2)                                                                  (1)

The second: E[y^2] = (1/2) (1/2) + (1/2) (1/4 - 2/pi + 1/2), less the square of the mean, 1/16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sde_diffusion.data.law import Law, normal, uniform


@dataclass(frozen=True)
class Moons(Law):
    """The two moons, each coordinate standardised by (1); `noise` >= 0 is s, in units of the circles' radius."""

    noise: float = 0.08

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise is a deviation, at least 0, got {self.noise}")

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent points, float32 (n, 2)."""
        angle = math.pi * uniform((n,), generator)
        lower = uniform((n,), generator) < 0.5
        x = torch.where(lower, 1 - angle.cos(), angle.cos())
        y = torch.where(lower, 0.5 - angle.sin(), angle.sin())
        return self.standardise(torch.stack([x, y], dim=-1) + self.noise * normal((n, 2), generator))

    def standardise(self, points: Tensor) -> Tensor:
        """(points - mean) / deviation for points (n, 2), by (1)."""
        deviation = (math.sqrt(0.75 + self.noise**2), math.sqrt(9 / 16 - 1 / math.pi + self.noise**2))
        return (points - points.new_tensor((0.5, 0.25))) / points.new_tensor(deviation)
