"""What stands for no condition, in training and under guidance."""

from __future__ import annotations

import torch
from torch import Tensor

NO_LABEL = -1


def no_condition(like: Tensor) -> Tensor:
    """A condition of the same shape that is none: -1 for integers, 0 or False else."""
    whole = like.is_floating_point() or like.dtype == torch.bool
    return torch.full_like(like, 0 if whole else NO_LABEL)


def drop(condition: Tensor, dropped: Tensor) -> Tensor:
    """The condition (B, ...) with none in the rows `dropped`, bool (B,)."""
    rows = dropped.reshape(-1, *(1,) * (condition.ndim - 1))
    return torch.where(rows, no_condition(condition), condition)
