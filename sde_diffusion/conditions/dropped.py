"""What stands for no condition, in training and under guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NO_LABEL = -1


@dataclass(frozen=True)
class PartlyDropped:
    """A condition (B, K) that is dropped as a whole for a share of the samples, and each of some parts of it for another.

    `parts` are columns with the share of the samples for which they alone become zeros, independently of all others.
    """

    share: float
    parts: tuple[tuple[slice, float], ...]

    def fingerprint(self) -> list[Any]:
        """As plain data."""
        return [self.share, *([where.start, where.stop, share] for where, share in self.parts)]

    def shares(self) -> list[float]:
        """All shares."""
        return [self.share, *(share for _, share in self.parts)]

    def __call__(self, condition: Tensor, rows: Callable[[float], Tensor]) -> Tensor:
        """The condition with its parts dropped; `rows(share)` draws for which samples, bool (B,)."""
        found = condition.clone()
        for where, share in self.parts:
            found[:, where] = drop(found[:, where], rows(share))
        return found


def no_condition(like: Tensor) -> Tensor:
    """A condition of the same shape that is none: -1 for integers, 0 or False else."""
    whole = like.is_floating_point() or like.dtype == torch.bool
    return torch.full_like(like, 0 if whole else NO_LABEL)


def drop(condition: Tensor, dropped: Tensor) -> Tensor:
    """The condition (B, ...) with none in the rows `dropped`, bool (B,)."""
    rows = dropped.reshape(-1, *(1,) * (condition.ndim - 1))
    return torch.where(rows, no_condition(condition), condition)
