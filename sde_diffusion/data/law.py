"""Laws on the plane that can be drawn from without end: the first thing a model should learn, and the quickest test."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sde_diffusion.data.base import SPLITS, DataSource, Rows, check_indices, check_split


@dataclass(frozen=True, kw_only=True)
class Law(DataSource):
    """A probability law on R^2 with mean 0 whose two coordinates have variance 1 on the average.

    As a data source it is `count` points for training and `count` others held out, both functions of `seed`.
    """

    count: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count is the number of points, at least 1, got {self.count}")

    @abstractmethod
    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent points, float32 (n, 2) on the generator's device; a function of its state only."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (2,)

    def size(self, split: str = "train") -> int:
        """How many samples the split holds."""
        check_split(split)
        return self.count

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """Samples (B, *E) and labels (B,) or None at `indices`."""
        points, labels = self.tensors(split)
        return points[check_indices(indices, self.count)], labels

    def tensors(self, split: str = "train") -> Rows:
        """The whole split: points (N, 2), no labels."""
        stream = 2 * self.seed + SPLITS.index(check_split(split))
        return self.sample(self.count, torch.Generator().manual_seed(stream)), None


def uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Uniform numbers in [0, 1) on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Standard normal numbers on the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device)


def positive(name: str, value: float) -> float:
    """The value, or a ValueError when it is not a positive finite number."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is a positive number, got {value}")
    return value
