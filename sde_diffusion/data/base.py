"""What training, metrics and the command line ask of a data set, whatever it is made of.

A data source is a finite table of samples of one shape, in two parts that never meet: "train" and "held_out". Asking for
a row twice gives the same numbers: there is no augmentation and no hidden random state. Images are float32 in [-1, 1],
quantised to `levels` equally spaced values (see `pixels`); other data are float32 of about unit variance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

SPLITS = ("train", "held_out")

Rows = tuple[Tensor, Tensor | None]
"""Samples (B, *E), and their class labels (B,) or None."""


@dataclass(frozen=True)
class Batch:
    """What an objective is given of the data.

    Attributes:
        x: samples (B, *E).
        source: samples (B, *E) of a second data set, for objectives that couple two distributions; None without one.
        condition: what the model is conditioned on, by the name of its argument; each (B, ...), one row a sample.
    """

    x: Tensor
    source: Tensor | None = None
    condition: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """B."""
        return len(self.x)


class DataSource(ABC):
    """A table of samples (N, *E), with class labels (N,) int64 where the data have them.

    Attributes: `event_shape` E; `levels`, the number of values a coordinate takes, or None for continuous data;
    `classes`, the number of labels, or None for data without labels.
    """

    levels: int | None = None
    classes: int | None = None

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """The shape E of one sample."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes, by label; their numbers unless a source knows better."""
        return None if self.classes is None else tuple(map(str, range(self.classes)))

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """The names of the columns of a table (N, D); None for other data."""
        return None

    @property
    def condition_names(self) -> tuple[str, ...] | None:
        """The names of the K numbers that go with each sample as its condition; None for data without."""
        return None

    @property
    def condition_encoders(self) -> Mapping[str, Any]:
        """Texts and classes among the conditions, by name: what makes numbers of them, see `captions` and `one_hot`."""
        return {}

    def condition_rows(self, indices: Tensor, split: str = "train") -> Tensor | None:
        """These numbers, float64 (B, K) in the units of the data; None for data without."""
        return None

    def stream(self, labels: bool = False) -> Any:
        """The training part as a table that is read one after another; None for a source whose rows are read by number."""
        return None

    def summary(self) -> dict[str, Any]:
        """More about the files that the data were read from, as plain data: counts by what they are, and `notes`, sentences
        on what was done to them or passed over. A source that counts its `classes`, or the `samples` of its parts, is not asked for them."""
        return {}

    @abstractmethod
    def size(self, split: str = "train") -> int:
        """How many samples the split holds."""

    @abstractmethod
    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """Samples (B, *E) and labels (B,) or None at `indices` (B,), each in [0, size)."""

    def tensors(self, split: str = "train") -> Rows:
        """The whole split in memory: samples (N, *E) and labels (N,) or None."""
        return self.batch(torch.arange(self.size(split)), split)


def check_split(split: str) -> str:
    """The split, or a ValueError."""
    if split not in SPLITS:
        raise ValueError(f"a split is one of {', '.join(SPLITS)}, got {split!r}")
    return split


def check_indices(indices: Tensor, size: int) -> Tensor:
    """The indices as int64 on the CPU, or a ValueError: a negative index would silently read from the end."""
    indices = torch.as_tensor(indices).cpu()
    if indices.dtype not in (torch.int64, torch.int32) or indices.ndim != 1:
        raise ValueError(f"indices are integers of shape (B,), got {indices.dtype} of shape {tuple(indices.shape)}")
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < size:
        raise ValueError(
            f"indices lie in [0, {size}), got {int(indices.min())} to {int(indices.max())}; draw them with data.order"
        )
    return indices.long()


def validate(
    x: Tensor, event_shape: tuple[int, ...] | None = None, bounds: tuple[float, float] | None = None
) -> Tensor:
    """x itself, when it is a non-empty floating tensor (N, *E) of finite numbers within `bounds`; else one sentence.

    Raises TypeError for what is no floating tensor, ValueError for a wrong shape, NaN, infinity or range.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"data are a torch.Tensor (N, *E), got {type(x).__name__}; convert with torch.as_tensor")
    if not x.is_floating_point():
        raise TypeError(f"data are floating point, got {x.dtype}; scale images with data.pixels.from_levels")
    if x.ndim < 1 or x.numel() == 0:
        raise ValueError(f"data hold at least one event, got shape {tuple(x.shape)}; check the path and the split")
    if event_shape is not None and tuple(x.shape[1:]) != tuple(event_shape):
        raise ValueError(f"events have shape {tuple(event_shape)}, got {tuple(x.shape[1:])}; give x of shape (N, *E)")
    if not bool(torch.isfinite(x).all()):
        count = int((~torch.isfinite(x)).sum())
        raise ValueError(f"data are finite, got {count} NaN or infinite numbers of {x.numel()}; drop those rows")
    low, high = float(x.min()), float(x.max())
    if bounds is not None and not bounds[0] <= low <= high <= bounds[1]:
        raise ValueError(f"data lie in [{bounds[0]:g}, {bounds[1]:g}], got {low:g} to {high:g}; rescale them")
    return x
