r"""A spiral: (t cos t, t sin t) with t uniform on [3 pi / 2, 9 pi / 2], plus noise.

The moments are integrals of t cos t, t sin t and their squares, with the antiderivatives

    int t cos t     = t sin t + cos t
    int t sin t     = sin t - t cos t
    int t^2 cos^2 t = t^3/6 + r(t),   int t^2 sin^2 t = t^3/6 - r(t),                                          (1)
    r(t) = (t^2/4 - 1/8) sin 2t + (t/4) cos 2t
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sde_diffusion.data.law import Law, normal, uniform

START, STOP = 1.5 * math.pi, 4.5 * math.pi


@dataclass(frozen=True)
class SwissRoll(Law):
    """The spiral moved to mean 0 and scaled by one number, so that it stays a spiral, to a mean variance of 1.

    `noise` >= 0 is the deviation of the noise, in units of t (neighbouring turns are 2 pi apart).
    """

    noise: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise is a deviation, at least 0, got {self.noise}")

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent points, float32 (n, 2)."""
        t = START + (STOP - START) * uniform((n,), generator)
        points = torch.stack([t * t.cos(), t * t.sin()], dim=-1) + self.noise * normal((n, 2), generator)
        return self.standardise(points)

    def standardise(self, points: Tensor) -> Tensor:
        """(points - mean) / scale for points (n, 2), by (1)."""
        (mean_x, square_x), (mean_y, square_y) = _moments()
        variance = (square_x + square_y - mean_x**2 - mean_y**2) / 2 + self.noise**2
        return (points - points.new_tensor((mean_x, mean_y))) / math.sqrt(variance)


def _moments() -> tuple[tuple[float, float], tuple[float, float]]:
    """(E[x], E[x^2]) and (E[y], E[y^2]) of the noiseless spiral."""

    def average(antiderivative) -> float:
        return (antiderivative(STOP) - antiderivative(START)) / (STOP - START)

    def r(t: float) -> float:
        return (t * t / 4 - 1 / 8) * math.sin(2 * t) + t / 4 * math.cos(2 * t)

    x = average(lambda t: t * math.sin(t) + math.cos(t)), average(lambda t: t**3 / 6 + r(t))
    y = average(lambda t: math.sin(t) - t * math.cos(t)), average(lambda t: t**3 / 6 - r(t))
    return x, y
