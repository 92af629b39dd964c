"""Independent pairs: flow matching without a coupling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.couplings.base import Coupling, Pairs, same_size


@dataclass(frozen=True)
class Independent(Coupling):
    """Every x_0 with an x_1 of a random permutation, whatever the order the batches came in."""

    keeps_label = True

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs (x_0, x_1) of a random permutation. Raises ValueError for batches of two sizes."""
        same_size(self, x0, x1)
        rows = torch.arange(len(x0), device=x0.device)
        return Pairs.of_rows(x0, x1, rows, torch.randperm(len(x1), generator=generator, device=x1.device))
