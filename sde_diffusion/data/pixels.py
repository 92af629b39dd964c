"""Quantised values and the interval [-1, 1]: level v of L levels is the number 2 v / (L - 1) - 1.

The levels are 2 / (L - 1) apart; that is the bin width a discrete likelihood needs.
"""

from __future__ import annotations

import torch
from torch import Tensor


def from_levels(values: Tensor, levels: int = 256) -> Tensor:
    """Integers 0 .. levels - 1 (any shape) to float32 in [-1, 1]; ValueError for a value outside."""
    if values.numel() and not 0 <= float(values.min()) <= float(values.max()) <= levels - 1:
        raise ValueError(
            f"levels lie in 0 .. {levels - 1}, got {float(values.min()):g} to {float(values.max()):g}; check `levels`"
        )
    return values.to(torch.float32).mul(2).div(levels - 1).sub(1)


def to_levels(x: Tensor, levels: int = 256) -> Tensor:
    """The nearest level of each number (int64); numbers beyond [-1, 1] take the nearest end."""
    return x.clamp(-1, 1).add(1).mul((levels - 1) / 2).round().long()


def bin_width(levels: int = 256) -> float:
    """The distance between neighbouring levels on [-1, 1]."""
    return 2 / (levels - 1)
