"""The divergence itself, by all d products with the Jacobian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.divergence.base import Divergence, PointField, products


@dataclass(frozen=True)
class ExactTrace(Divergence):
    """sum_i (J e_i)_i, for samples of any rank; d products of a network's cost each, `block` of them at a time."""

    block: int = 64
    columns = 1

    def __post_init__(self) -> None:
        """Raises ValueError unless block >= 1."""
        if self.block < 1:
            raise ValueError(f"a block holds at least one product, got {self.block}; give 64")

    def probes(self, x: Tensor, seed: int, indices: Tensor) -> Tensor:
        """None."""
        return x.new_empty(x.shape[0], 0, *x.shape[1:])

    def along(self, field: PointField, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """F(x) (B, *E) and its divergence (B, 1)."""
        size = x[0].numel()
        trace, value = x.new_zeros(x.shape[0]), x
        for start in range(0, size, self.block):
            count = min(self.block, size - start)
            rows = torch.eye(count, size, dtype=x.dtype, device=x.device).roll(start, 1)
            value, pushed = products(field, x, rows.reshape(1, count, *x.shape[1:]).expand(len(x), -1, *x.shape[1:]))
            trace = trace + pushed.flatten(2)[:, :, start : start + count].diagonal(dim1=1, dim2=2).sum(1)
        return value, trace[:, None]

    def cost(self, size: int) -> int:
        """All of them."""
        return size
