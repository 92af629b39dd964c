"""Pairs by a run of a model: reflow, and rounds of iterative Markovian fitting.

Reflow starts at the far end (noise, say), runs the flow, and trains the next model on the pairs that it made. A round of
Markovian fitting does the same with an SDE, from either end.

References:
    Liu, Gong & Liu, Flow Straight and Fast, 2022, https://arxiv.org/abs/2209.03003, section 2.2
    Shi et al., Diffusion Schroedinger Bridge Matching, 2023, https://arxiv.org/abs/2303.16852, algorithm 1
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.couplings.base import Coupling, Pairs

Transport = Callable[[Tensor, torch.Generator | None], Tensor]
"""(x (B, *E), generator) -> the other end of each x, (B, *E)."""


@dataclass(frozen=True)
class FromFar(Coupling):
    """Every x_1 with the x_0 to which `transport` carries it: reflow. The x_0 of the batch are not used."""

    transport: Transport

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs; near_rows is None."""
        near = carried(self.transport, x1, generator)
        return Pairs(near, x1, None, torch.arange(len(x1), device=x1.device))


@dataclass(frozen=True)
class FromNear(Coupling):
    """Every x_0 with the x_1 to which `transport` carries it. The x_1 of the batch are not used."""

    transport: Transport

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs; far_rows is None."""
        far = carried(self.transport, x0, generator)
        return Pairs(x0, far, torch.arange(len(x0), device=x0.device), None)


def carried(transport: Transport, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """The other ends, without a gradient. Raises ValueError where they are not finite or not of x's shape."""
    with torch.no_grad():
        y = transport(x, generator)
    if y.shape != x.shape or not bool(y.isfinite().all()):
        raise ValueError(
            f"the transport made {tuple(y.shape)} of {tuple(x.shape)}, {int((~y.isfinite()).sum())} numbers not finite; "
            "return one finite point for each"
        )
    return y.to(x)
