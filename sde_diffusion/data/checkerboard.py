"""The uniform law on the dark cells of a checkerboard: sharp edges, for which no smooth model is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sde_diffusion.data.law import Law, uniform

HALF = math.sqrt(3)


@dataclass(frozen=True)
class Checkerboard(Law):
    """`cells` (even) cells a side on the square [-sqrt 3, sqrt 3]^2; column i and row j are dark when i + j is even.

    Each coordinate is uniform on the side, of length 2 sqrt 3, so it has variance exactly 1.
    """

    cells: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cells < 2 or self.cells % 2:
            raise ValueError(f"a checkerboard has an even number of cells a side, at least 2, got {self.cells}")

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent points, float32 (n, 2)."""
        column, pick = self.cells * uniform((2, n), generator)
        pair, within = (pick / 2).floor(), pick / 2 % 1
        row = 2 * pair + column.floor() % 2 + within
        return torch.stack([column, row], dim=-1) * (2 * HALF / self.cells) - HALF

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) in nats for x (N, 2), shape (N,): -log 6 on the dark cells, -inf on the others."""
        cell = ((x + HALF) * (self.cells / (2 * HALF))).floor()
        inside = (cell >= 0).all(-1) & (cell < self.cells).all(-1) & (cell.sum(-1) % 2 == 0)
        return torch.where(inside, -math.log(2 * HALF**2), -math.inf).to(x)
