"""Both ends of a bridge over a known plan: a network that has learned everything and makes no error."""

from __future__ import annotations

from collections.abc import Callable
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

    def near(self, x_t: Tensor, junction: Junction, **condition: Any) -> Tensor:
        """E[x_0 | x_t], (B, *E); a junction for each sample is taken one sample at a time."""
        return _by_level(self.moments.near_end, x_t, junction)

    def far(self, x_t: Tensor, junction: Junction, **condition: Any) -> Tensor:
        """E[x_1 | x_t], (B, *E)."""
        return _by_level(self.moments.far_end, x_t, junction)


def _by_level(end: Callable[[Tensor, Junction], Tensor], x_t: Tensor, junction: Junction) -> Tensor:
    levels = [torch.as_tensor(level, dtype=torch.float64) for level in (junction.a, junction.b, junction.c)]
    if all(level.ndim == 0 for level in levels):
        return end(x_t, junction)
    rows = zip(*(level.expand(len(x_t)).tolist() for level in levels), strict=True)
    return torch.cat([end(x.unsqueeze(0), Junction(*row)) for x, row in zip(x_t, rows, strict=True)])
