"""Data in the coordinates of a model, mean zero and variance one: a source, and a table that is read a batch at a time."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data.base import Batch, DataSource, Rows
from sde_diffusion.data.stream import StreamTable
from sde_diffusion.data.tables import Table, TensorTable
from sde_diffusion.io.atomic import to_json

FEW = 2**24
"""How many numbers are kept as one tensor: 64 MiB of float32. Larger tables are read a batch at a time."""


class Standardised(DataSource):
    """The samples of `inner` under a `Standardization`; labels, classes, conditions and splits are the same. Levels are left out."""

    def __init__(self, inner: DataSource, standardization: Any) -> None:
        self.inner, self.standardization = inner, standardization
        self.classes, self.levels = inner.classes, None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Those of `inner`."""
        return self.inner.class_names

    @property
    def event_shape(self) -> tuple[int, ...]:
        """That of `inner`."""
        return self.inner.event_shape

    @property
    def condition_names(self) -> tuple[str, ...] | None:
        """Those of `inner`."""
        return self.inner.condition_names

    def condition_rows(self, indices: Tensor, split: str = "train") -> Tensor | None:
        """Those of `inner`, in their own units."""
        return self.inner.condition_rows(indices, split)

    def size(self, split: str = "train") -> int:
        """That of `inner`."""
        return self.inner.size(split)

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """z (B, *E) and labels (B,) or None."""
        x, labels = self.inner.batch(indices, split)
        return self.standardization.to_standard(x), labels


class StandardisedTable(Table):
    """The rows of `inner` under a `Standardization`, in `dtype`; conditions are the same. Each batch is mapped when it is read."""

    def __init__(self, inner: Table, standardization: Any, dtype: torch.dtype) -> None:
        self.inner, self.standardization, self.dtype, self.device = inner, standardization, dtype, inner.device

    def __len__(self) -> int:
        """N."""
        return len(self.inner)

    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,)."""
        return Standard(self.standardization, self.dtype)(self.inner.rows(numbers))

    def digest(self) -> dict[str, str]:
        """See `Table`: of the standardised rows, found once; and of the source's own digest where it has one."""
        return dict(self._digest)

    @cached_property
    def _digest(self) -> dict[str, str]:
        if not callable(getattr(getattr(self.inner, "source", None), "digest", None)):
            return super().digest()
        found = self.inner.digest()
        seen = to_json([found["data"], self.standardization.as_dict()])
        return found | {"data": hashlib.sha256(seen).hexdigest()}


@dataclass(frozen=True)
class Standard:
    """A batch of samples (B, *E) -> one of z (B, *E) in `dtype`; conditions are the same."""

    standardization: Any
    dtype: torch.dtype

    def __call__(self, batch: Batch) -> Batch:
        """The batch of z."""
        return Batch(self.standardization.to_standard(batch.x).to(self.dtype), batch.source, batch.condition)


def standardised(table: Table, standardization: Any, dtype: torch.dtype) -> Table:
    """The rows of a table in a model's coordinates: all of them at once where they are few, else a batch at a time.

    A stream is read a batch at a time.
    """
    if isinstance(table, StreamTable):
        return table.changed(Standard(standardization, dtype))
    found = StandardisedTable(table, standardization, dtype)
    return in_memory(found) if len(table) * math.prod(table.event_shape) <= FEW else found


def in_memory(table: Table) -> TensorTable:
    """All rows of a table as tensors, read a chunk at a time. Raises ValueError for samples that are not finite."""
    chunks = list(table.chunks())
    condition = {name: torch.cat([chunk.condition[name] for chunk in chunks]) for name in chunks[0].condition}
    return TensorTable(torch.cat([chunk.x for chunk in chunks]), condition)
