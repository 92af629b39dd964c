"""A data source in the coordinates of a model: mean zero, variance one."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sde_diffusion.data.base import DataSource, Rows


class Standardised(DataSource):
    """The samples of `inner` under a `Standardization`; labels, classes and splits are the same. Levels are left out."""

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

    def size(self, split: str = "train") -> int:
        """That of `inner`."""
        return self.inner.size(split)

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """z (B, *E) and labels (B,) or None."""
        x, labels = self.inner.batch(indices, split)
        return self.standardization.to_standard(x), labels
