"""Data that fit in memory: quantised values kept as uint8, turned into float32 a batch at a time."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from sde_diffusion.data.base import DataSource, Rows, check_indices, check_split
from sde_diffusion.data.pixels import from_levels


class InMemory(DataSource):
    """A source whose splits are two uint8 tables, read once when first asked for and kept as long as the source."""

    levels: int = 256

    @abstractmethod
    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Read a split: values (N, *E) uint8 in 0 .. levels - 1 and labels (N,) int64."""

    def size(self, split: str = "train") -> int:
        """How many samples the split holds."""
        return len(self._table(split)[0])

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """Samples (B, *E) and labels (B,) or None at `indices`."""
        values, labels = self._table(split)
        rows = check_indices(indices, len(values))
        return from_levels(values[rows], self.levels), labels[rows]

    def _table(self, split: str) -> tuple[Tensor, Tensor]:
        if check_split(split) not in self._tables:
            values, labels = self.load(split)
            if len(values) == 0:
                raise ValueError(f"{type(self).__name__} has no {split} events; check its files")
            self._tables[split] = (values.to(torch.uint8), labels.long())
        return self._tables[split]

    @cached_property
    def _tables(self) -> dict[str, tuple[Tensor, Tensor]]:
        return {}
