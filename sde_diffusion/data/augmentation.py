"""Random changes of training samples, as functions of a key for each sample: no generator, and resuming changes no bit.

The key is a function of (seed, step, number of the row), see `training.batches`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.random import counters, words


class Augmentation(ABC):
    """Changes samples at random: another one is a frozen dataclass, whose fields are part of a run's fingerprint."""

    @abstractmethod
    def __call__(self, x: Tensor, keys: Tensor) -> Tensor:
        """Samples (B, *E) changed, each as a function of itself and its key, int64 (B,)."""


@dataclass(frozen=True)
class Flips(Augmentation):
    """Mirrors a share of the samples left to right: along their last axis, for pictures (C, H, W) or signals (C, L)."""

    share: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError for a share outside [0, 1]."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is that of the mirrored samples, in [0, 1], got {self.share}; 0.5 is usual")

    def __call__(self, x: Tensor, keys: Tensor) -> Tensor:
        """Samples (B, C, *space). Raises ValueError for vectors (B, D), whose columns have no left and right."""
        if x.ndim < 3:
            raise ValueError(
                f"samples that are mirrored have shape (C, *space), got {tuple(x.shape[1:])}; leave it out"
            )
        flipped = uniforms(keys, 1)[:, 0] < self.share
        return torch.where(flipped.reshape(-1, *(1,) * (x.ndim - 1)), x.flip(-1), x)


def uniforms(keys: Tensor, count: int) -> Tensor:
    """`count` numbers uniform in [0, 1) for each key, float64 (B, count): the upper 53 bits of its words."""
    drawn = words(keys[:, None], counters(2 * count, keys.device))
    return (drawn >> 11 & 2**53 - 1).double() * 2.0**-53
