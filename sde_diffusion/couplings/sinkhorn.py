"""Pairs drawn from the entropic plan of two batches: the start of a Schroedinger bridge that keeps the modes.

References:
    Tong et al., Simulation-free Schroedinger Bridges via Score and Flow Matching, 2023, https://arxiv.org/abs/2307.03672
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.couplings.base import Coupling, Pairs
from sde_diffusion.exact.entropic import half_squared_distances, log_plan

MARGINALS = 1e-6
"""The total variation to which the marginals of the plan are met."""


@dataclass(frozen=True)
class Sinkhorn(Coupling):
    """Every x_0 once, its x_1 drawn from its row of the plan of temperature eps, of the cost |x_0 - x_1|^2/2.

    Computed in logarithms and in float64. Raises ValueError for eps <= 0.
    """

    eps: float

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise ValueError(f"Sinkhorn needs a temperature eps > 0, got {self.eps}; eps = 0 is Assignment()")

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs. Raises ValueError where the plan misses its marginals by more than `MARGINALS`."""
        rows = log_plan(half_squared_distances(x0, x1), self.eps, MARGINALS).softmax(1)
        far_rows = torch.multinomial(rows, 1, generator=generator).squeeze(1)
        return Pairs.of_rows(x0, x1, torch.arange(len(x0), device=x0.device), far_rows)
