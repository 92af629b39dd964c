"""Both ends of a bridge over a known plan: a network that has learned everything and makes no error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers.ends import Ends
from sde_diffusion.exact.law import Law
from sde_diffusion.exact.plan_bridge import PlanMoments
from sde_diffusion.junction import Junction


class ExactEnds(Ends):
    """E[x_0 | x_t] and E[x_1 | x_t] for pairs (2, *E) of a Gaussian or mixture plan."""

    def __init__(self, plan: Law) -> None:
        super().__init__()
        self.moments = PlanMoments(plan)

    def forward(self, x_t: Tensor, junction: Junction, **condition: Any) -> tuple[Tensor, Tensor]:
        """Both means, each (B, *E); a junction for each sample is taken one sample at a time."""
        levels = [torch.as_tensor(level, dtype=torch.float64) for level in (junction.a, junction.b, junction.c)]
        if all(level.ndim == 0 for level in levels):
            return self.moments.ends(x_t, junction)
        rows = zip(*(level.expand(len(x_t)).tolist() for level in levels), strict=True)
        found = [self.moments.ends(x.unsqueeze(0), Junction(*row)) for x, row in zip(x_t, rows, strict=True)]
        return torch.cat([near for near, _ in found]), torch.cat([far for _, far in found])
