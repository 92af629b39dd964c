"""Data sets of Hugging Face's `datasets` on the disk: a folder of `save_to_disk`, or parquet files, read one after another.

The library reads Arrow and Parquet files and JSON; nothing in them is executed, and nothing is downloaded.

References:
    Lhoest et al., Datasets: A Community Library for Natural Language Processing, 2021, https://arxiv.org/abs/2109.02846
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.data.hugging_face import as_sample
from sde_diffusion.data.order import permutation
from sde_diffusion.data.stream_source import EXAMPLES, StreamSource

BLOCK = 1024
"""Samples of a block within which they are shuffled."""

_SAVED = ("state.json", "dataset_dict.json")


class NumberedRows:
    """The numbers of n rows, in an order of all of them that is a function of (seed, epoch); the state is how many are done."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch, self.at = count, seed, 0, 0

    def __iter__(self) -> Iterator[int]:
        """The numbers."""
        order = permutation(self.seed, self.epoch, self.count)
        for at in range(self.at, self.count):
            self.at = at + 1
            yield int(order[at])

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """How many are done."""
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a state."""
        self.at = state["at"]


class CountedRows:
    """The rows of a streamed data set as (number, row), in its order; the state is its own and the number."""

    def __init__(self, data: Any) -> None:
        self.data, self.at = data, 0

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """The numbers and the rows."""
        for row in self.data:
            self.at += 1
            yield self.at - 1, row

    def state_dict(self) -> dict[str, Any]:
        """How many are done, and the data set's own state."""
        return {"at": self.at, "data": self.data.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.at = state["at"]
        if self.at:
            self.data.load_state_dict(state["data"])


@dataclass(frozen=True, repr=False)
class HuggingFaceStream(StreamSource):
    """Columns of a data set of `datasets` on the disk as samples, classes and conditions.

    A folder of `save_to_disk` is read row by row, in an order that mixes all rows anew in each epoch. Parquet files are read
    one after another, and their rows shuffled in blocks of `shuffle`. Both orders are functions of (seed, position).

    Attributes:
        path: such a folder, a parquet file, or a folder of them.
        column: of the samples: pictures become (C, H, W) in [-1, 1], numbers stay as they are. Left out: the only column
            that is neither the label nor a condition.
        label: the column of the classes, by numbers with names of their own (`ClassLabel`), whole numbers or texts.
        condition: columns of numbers, or of lists of them, that the samples are conditioned on.
        key: the column that says what a row is to the split; the row's number without one, so that rows may be added at the
            end alone.
        split: of a folder that holds several.
        held_out, seed, shuffle, examples: as for `shard_stream`.
    """

    path: str
    column: str | None = None
    label: str | None = None
    condition: tuple[str, ...] = ()
    key: str | None = None
    split: str = "train"
    held_out: float = 0.1
    seed: int = 0
    shuffle: int = BLOCK
    examples: int = EXAMPLES

    def __post_init__(self) -> None:
        """A name alone is a list of one."""
        given = (self.condition,) if isinstance(self.condition, str) else tuple(self.condition)
        object.__setattr__(self, "condition", given)
        object.__setattr__(self, "labels", self.label is not None)

    @property
    def mixed(self) -> bool:
        """Rows that are numbered come in an order of all of them."""
        return self._numbered

    @property
    def place(self) -> str:
        """The folder or the file."""
        return self.path

    @property
    def levels(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """256 for pictures, None for other numbers."""
        value = self._cells_of(self.census.examples["train"][0])[self._column]
        return 256 if hasattr(value, "mode") else None

    @property
    def condition_names(self) -> tuple[str, ...] | None:
        """The columns of the condition; NAME.0, NAME.1 and so on for one of lists."""
        if not self.condition:
            return None
        row = self._cells_of(self.census.examples["train"][0])
        sizes = {name: np.ndim(row[name]) and len(row[name]) for name in self.condition}
        return tuple(one for name, n in sizes.items() for one in ([f"{name}.{k}" for k in range(n)] if n else [name]))

    def items(self) -> NumberedRows | CountedRows:
        """The numbers of all rows, or numbers with rows of parquet files."""
        return NumberedRows(len(self._data), self.seed) if self._numbered else CountedRows(self._data)

    def name_of(self, item: Any) -> bytes:
        """The row's key, or its number."""
        number = item if self._numbered else item[0]
        return str(number if self.key is None else self._cell(item, self.key)).encode()

    def class_of(self, item: Any) -> str | None:
        """The class in words; whole numbers of a `ClassLabel` by its names."""
        if self.label is None:
            return None
        value, names = self._cell(item, self.label), self.known_classes()
        if value is None or (names is not None and not 0 <= int(value) < len(names)):
            return None
        return str(value) if names is None else names[int(value)]

    def known_classes(self) -> tuple[str, ...] | None:
        """Those of a `ClassLabel`."""
        names = None if self.label is None else getattr(self._data.features[self.label], "names", None)
        return None if names is None else tuple(names)

    def about(self, item: Any) -> None:
        """Nothing."""
        return

    def decoded(self, item: Any) -> tuple[Tensor, Tensor | None]:
        """The sample and the numbers of its condition."""
        row = self._cells_of(item)
        x = as_sample(row[self._column])
        x = x if x.is_floating_point() else x.float()
        return x.float(), self._condition(row) if self.condition else None

    def _condition(self, row: Mapping[str, Any]) -> Tensor:
        try:
            return torch.cat([torch.as_tensor(row[name], dtype=torch.float64).reshape(-1) for name in self.condition])
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"the columns {', '.join(self.condition)} of {self.path!r} are conditions, and hold what is no number; name others"
            ) from error

    def _cells_of(self, item: Any) -> Mapping[str, Any]:
        return self._data[item] if self._numbered else item[1]

    def _cell(self, item: Any, name: str) -> Any:
        """A cell; without the rest of its row where rows are numbered."""
        return self._cells(name)[item] if self._numbered else item[1][name]

    def _cells(self, name: str) -> list[Any]:
        if name not in self._columns:
            self._columns[name] = list(self._data.select_columns([name])[name])
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        return {}

    @property
    def _numbered(self) -> bool:
        return hasattr(self._data, "__len__")

    @cached_property
    def _column(self) -> str:
        if self.column is not None:
            return self.column
        others = [name for name in self._data.features if name not in (self.label, self.key, *self.condition)]
        if len(others) != 1:
            raise ValueError(
                f"{self.path!r} has the columns {', '.join(self._data.features)}; say which is the sample, --data.column NAME"
            )
        return others[0]

    @cached_property
    def _data(self) -> Any:
        """The data set, once the columns are known to be there. Raises ValueError for anything else."""
        found = _opened(self.path, self.split)
        for name in filter(None, (self.column, self.label, self.key, *self.condition)):
            if name not in found.features:
                raise ValueError(
                    f"{self.path!r} has no column {name!r}, but {', '.join(found.features)}; name one of these"
                )
        return found


def _opened(path: str, split: str) -> Any:
    """The data set of a folder or of files. Raises ValueError."""
    place = Path(path)
    if "\0" in path or not place.exists():
        raise ValueError(
            f"{path!r} is not there; name a folder of save_to_disk or parquet files: load_dataset(NAME).save_to_disk(FOLDER) makes "
            "one of a data set of the Hub"
        )
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise ValueError(f"{path!r} needs the package datasets; `pip install 'sde-diffusion[datasets]'`") from error
    files = [place] if place.is_file() else sorted(place.rglob("*.parquet"))
    try:
        if any((place / name).is_file() for name in _SAVED):
            found = datasets.load_from_disk(path)
        elif files and all(one.suffix.lower() == ".parquet" for one in files):
            found = datasets.load_dataset(
                "parquet", data_files=[str(one) for one in files], split="train", streaming=True
            )
        else:
            raise ValueError("it is no folder of save_to_disk, and holds no parquet files")
    except Exception as error:  # what the library raises is of many kinds
        raise ValueError(f"{path!r} cannot be read as a data set ({' '.join(str(error).split())[:300]})") from error
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            raise ValueError(f"{path!r} has the splits {', '.join(found)}, and no {split!r}; name one with split")
        found = found[split]
    return found.with_format(None) if hasattr(found, "with_format") else found
