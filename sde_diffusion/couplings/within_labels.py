r"""A coupling within labels, so that x_1 does not depend on the label of x_0.

A coupling that ignores labels joins each class with the part of the other law that lies near it: p(x_1 | label) is no longer
p(x_1), and a conditional model that starts from p(x_1) draws a wrong law. Here the x_1 get the labels of a random
permutation (independent of x_1), and pairs are made within each label.

References:
    Cheng & Schwing, The Curse of Conditions: Analyzing and Improving Optimal Transport for Conditional Flow-Based
        Generation, 2025, https://arxiv.org/abs/2503.10636
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.couplings.base import Coupling, Pairs, same_size


@dataclass(frozen=True)
class WithinLabels(Coupling):
    """`coupling` within each label of x_0, int64 (B,)."""

    coupling: Coupling
    uses_label = True

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs. Raises ValueError for batches of two sizes, and for labels that are missing or not integers (B,)."""
        same_size(self, x0, x1)
        if not isinstance(label, Tensor) or label.is_floating_point() or label.shape != (len(x0),):
            kind = tuple(label.shape) if isinstance(label, Tensor) else type(label).__name__
            raise ValueError(f"WithinLabels needs integer labels ({len(x0)},) of x0, got {kind}; pass label=")
        theirs = torch.randperm(len(x1), generator=generator, device=x1.device)
        parts = [self._part(x0, x1, rows, theirs[rows], generator) for rows in _groups(label)]
        near, far, rows, far_rows = (torch.cat(part) for part in zip(*parts, strict=True))
        return Pairs(near, far, rows, far_rows)

    def _part(self, x0: Tensor, x1: Tensor, rows: Tensor, far_rows: Tensor, generator: Any) -> tuple[Tensor, ...]:
        found = self.coupling(x0[rows], x1[far_rows], generator)
        if found.near_rows is None or found.far_rows is None:
            raise ValueError(
                f"WithinLabels takes a coupling of rows, got {type(self.coupling).__name__}; use Sinkhorn(eps)"
            )
        return found.near, found.far, rows[found.near_rows], far_rows[found.far_rows]


def _groups(label: Tensor) -> list[Tensor]:
    return [(label == one).nonzero().squeeze(1) for one in label.unique()]
