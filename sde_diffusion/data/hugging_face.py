"""Data sets of Hugging Face's `datasets`: their columns as samples and labels, in memory, in files or as a stream.

    data = hugging_face.rows(load_dataset("mnist", split="train"), "image", label="label")       # any order, exact
    data = hugging_face.stream(load_dataset(..., split="train", streaming=True), "image")        # its own order

`pip install 'sde-diffusion[datasets]'` installs it; nothing here imports it.

References:
    Lhoest et al., Datasets: A Community Library for Natural Language Processing, 2021, https://arxiv.org/abs/2109.02846
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sde_diffusion.data.pixels import from_levels
from sde_diffusion.data.stream import Row, StreamTable


@dataclass(frozen=True)
class Columns:
    """What of a data set's rows is the sample and what its label; `names` are those of the classes.

    A picture becomes float32 (C, H, W) in [-1, 1], C = 1 for grey ones and 3 for others; numbers stay as they are, as float32
    where they are lists.
    """

    sample: str
    label: str | None = None
    names: tuple[str, ...] | None = None

    def __call__(self, row: Any) -> Row:
        """(x, {"label": number}) of a row. Raises ValueError for a row without these columns, or a picture of 16 bits."""
        missing = [name for name in (self.sample, self.label) if name is not None and name not in row]
        if missing or not isinstance(row, Mapping):
            raise ValueError(f"a row holds {', '.join(map(str, row))}, and no {missing[0]!r}; name one of them")
        label = {} if self.label is None else {"label": self._number(row[self.label])}
        return as_sample(row[self.sample]), label

    def _number(self, label: Any) -> int:
        names = self.names or ()
        number = names.index(label) if label in names else label
        if isinstance(number, str) or not 0 <= int(number) < len(names):
            raise ValueError(
                f"a row has the class {label!r}, and the classes are {', '.join(names[:20])}; name all of them"
            )
        return int(number)


class Rows(Dataset):
    """A map-style data set of (sample, label) pairs, or of samples alone; `classes` are the names of its labels."""

    def __init__(self, data: Any, columns: Columns) -> None:
        self.data, self.columns, self.classes = data, columns, columns.names

    def __len__(self) -> int:
        """N."""
        return len(self.data)

    def __getitem__(self, number: int) -> Any:
        """The row of a number."""
        x, more = self.columns(self.data[number])
        return (x, more["label"]) if more else x


def rows(data: Any, sample: str, label: str | None = None, names: Iterable[str] | None = None) -> Rows:
    """A map-style `datasets.Dataset`, for `fit` and `for_data`: `labels=True` there takes the labels.

    Args:
        data: any object with a length that gives a mapping for a number.
        sample, label: the columns.
        names: of the classes; those of the column's `ClassLabel` where it is one.

    Raises TypeError for a data set without a length, ValueError for columns that it does not have, or labels without names.
    """
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise TypeError(f"a {type(data).__name__} gives no row by its number; write stream(data, {sample!r})")
    return Rows(data, columns_of(data, sample, label, names))


def stream(data: Any, sample: str, label: str | None = None, names: Iterable[str] | None = None) -> StreamTable:
    """A `datasets.IterableDataset`, or any iterable of mappings, for `fit`; see `stream.StreamTable`. Raises what `rows` does."""
    columns = columns_of(data, sample, label, names)
    return StreamTable(data, columns, columns.names)


def columns_of(data: Any, sample: str, label: str | None, names: Iterable[str] | None) -> Columns:
    """The columns, with the names of the classes. Raises ValueError, see `rows`."""
    features = getattr(data, "features", None) or {}
    missing = [name for name in (sample, label) if features and name is not None and name not in features]
    if missing:
        raise ValueError(f"the data have the columns {', '.join(features)}, and no {missing[0]!r}; name one of them")
    known = tuple(names or getattr(features.get(label), "names", None) or ())
    if label is not None and not known:
        raise ValueError(f"the classes in {label!r} have no names; give names=, one for each number from 0")
    return Columns(sample, label, known or None)


def as_sample(value: Any) -> Tensor:
    """A picture of PIL in [-1, 1]; an array or a tensor of numbers as it is, a list of numbers as float32."""
    if hasattr(value, "mode") and hasattr(value, "convert"):
        return _picture(value)
    if isinstance(value, Tensor):
        return value
    return torch.as_tensor(np.asarray(value, dtype=None if isinstance(value, np.ndarray) else np.float32))


def _picture(picture: Any) -> Tensor:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        raise ValueError(f"a picture of mode {picture.mode} has no range of its own; map its column to numbers first")
    grey = picture if picture.mode == "L" else picture.convert("RGB")
    levels = torch.from_numpy(np.array(grey)).reshape(grey.height, grey.width, -1).movedim(-1, 0)
    return from_levels(levels.contiguous())
