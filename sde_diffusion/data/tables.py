"""Training data of any kind as one thing: a table of N rows, asked for by their numbers.

A row is a sample, with what the model is conditioned on. The table may be a tensor or an array in memory, a `DataSource`, or
a map-style `torch.utils.data.Dataset`. `table_of` makes it of whatever `train` is given.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.data.base import Batch, DataSource, validate
from sde_diffusion.data.order import indices
from sde_diffusion.io.atomic import to_json

NUMBERS = 2**22
"""How many numbers are read at a time where all of a table is looked at: 16 MiB of float32."""


def rows_at_a_time(event_shape: tuple[int, ...]) -> int:
    """How many rows of this shape hold up to `NUMBERS` numbers, at least one."""
    return max(1, NUMBERS // max(1, math.prod(event_shape)))


class Table(ABC):
    """N rows; the same number gives the same row every time."""

    device = torch.device("cpu")

    @abstractmethod
    def __len__(self) -> int:
        """N."""

    @abstractmethod
    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,), where the table is."""

    def order(self, seed: int, step: int, size: int, part: int = 0, parts: int = 1) -> Tensor:
        """The rows of a part of a step's batch of `size`, int64 (B,): a function of these numbers; see `data.order`."""
        return indices(seed, step, size, len(self), part, parts)

    def spaced(self, most: int) -> Tensor:
        """The numbers of up to `most` rows, int64, evenly spaced from the first to the last."""
        return torch.linspace(0, len(self) - 1, min(len(self), most), dtype=torch.float64).round().long()

    @cached_property
    def event_shape(self) -> tuple[int, ...]:
        """The shape *E of a sample, by that of the first one."""
        return tuple(self.rows(self.spaced(1)).x.shape[1:])

    def chunks(self) -> Iterator[Batch]:
        """All rows in their order, so many at a time that they take little memory."""
        return (self.rows(numbers) for numbers in torch.arange(len(self)).split(rows_at_a_time(self.event_shape)))

    def digest(self) -> dict[str, str]:
        """SHA-256 of every row: of the samples as `data`, and of each condition by its name.

        Raises what `check_batch` raises for rows that are no samples.
        """
        hashes: dict[str, Any] = {}
        for batch in self.chunks():
            named = {"data": check_batch(batch).x, **batch.condition}
            for name, value in named.items():
                if name not in hashes:
                    head = [[len(self), *value.shape[1:]], str(value.dtype)]
                    hashes[name] = hashlib.sha256(to_json(head))
                hashes[name].update(_bytes(value))
        return {name: value.hexdigest() for name, value in hashes.items()}


class TensorTable(Table):
    """Samples (N, *E) and conditions (N, ...) in memory, on any device."""

    def __init__(self, x: Tensor, condition: dict[str, Tensor] | None = None) -> None:
        """Raises TypeError or ValueError for samples that are not finite (N, *E), or conditions of another length."""
        self.x, self.condition, self.device = validate(x), condition or {}, x.device
        for name, value in self.condition.items():
            _check_condition(name, value, len(x))

    def __len__(self) -> int:
        """N."""
        return len(self.x)

    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,)."""
        return Batch(_rows(self.x, numbers), condition={name: _rows(v, numbers) for name, v in self.condition.items()})


class SourceTable(Table):
    """A split of a `DataSource`, read a batch at a time; with its labels as the condition `label` if asked."""

    def __init__(self, source: DataSource, labels: bool, split: str = "train") -> None:
        """Raises ValueError for labels of a source that has none."""
        if labels and source.classes is None:
            raise ValueError(f"{type(source).__name__} has no labels; leave out labels=True")
        self.source, self.labels, self.split = source, labels, split

    def __len__(self) -> int:
        """N."""
        return self.source.size(self.split)

    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,)."""
        x, labels = self.source.batch(numbers.cpu(), self.split)
        return Batch(x, condition={"label": labels} if self.labels and labels is not None else {})

    def digest(self) -> dict[str, str]:
        """The source's own `digest(split)` where it has one, else that of every row."""
        own = getattr(self.source, "digest", None)
        return super().digest() if own is None else {"data": str(own(self.split))} | self._labelled()

    def _labelled(self) -> dict[str, str]:
        return {"label": "of the source"} if self.labels else {}


class DatasetTable(Table):
    """A map-style `torch.utils.data.Dataset` of samples, of (sample, label) or of (sample, {name: condition}).

    Labels are used if asked, named conditions always. Rows must not change from one reading to the next: a random
    augmentation would make a resumed run another one.
    """

    def __init__(self, dataset: Any, labels: bool) -> None:
        self.dataset, self.labels = dataset, labels

    def __len__(self) -> int:
        """N."""
        return len(self.dataset)

    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,), read one after another."""
        pairs = [self._row(number) for number in numbers.tolist()]
        names = pairs[0][1].keys()
        condition = {name: torch.stack([torch.as_tensor(row[name]) for _, row in pairs]) for name in names}
        return Batch(torch.stack([x for x, _ in pairs]), condition=condition)

    def _row(self, number: int) -> tuple[Tensor, dict[str, Any]]:
        item = self.dataset[number]
        x, *rest = item if isinstance(item, (tuple, list)) and 1 <= len(item) <= 2 else (item,)
        more = rest[0] if rest else None
        if isinstance(x, Mapping):
            raise TypeError(
                f"row {number} of {type(self.dataset).__name__} holds {', '.join(map(str, x))}; say which of them is the sample: "
                "hugging_face.rows(data, column)"
            )
        if not isinstance(x, (Tensor, np.ndarray)):
            raise TypeError(
                f"row {number} of {type(self.dataset).__name__} is a {type(x).__name__}; give tensors, as with "
                "transform=torchvision.transforms.ToTensor()"
            )
        if isinstance(more, Mapping):
            return torch.as_tensor(x), dict(more)
        if self.labels and more is None:
            raise ValueError(f"row {number} of {type(self.dataset).__name__} has no label; leave out labels=True")
        return torch.as_tensor(x), {"label": more} if self.labels else {}


class FirstRows(Table):
    """The first `count` rows of a table."""

    def __init__(self, table: Table, count: int) -> None:
        self.table, self.count, self.device = table, count, table.device

    def __len__(self) -> int:
        """How many."""
        return self.count

    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,)."""
        return self.table.rows(numbers)


class WithConditions(Table):
    """The rows of a table, with more conditions (N, ...) by their names."""

    def __init__(self, table: Table, condition: dict[str, Tensor]) -> None:
        """Raises ValueError for conditions of another length, or that are not finite."""
        self.table, self.condition, self.device = table, condition, table.device
        for name, value in condition.items():
            _check_condition(name, value, len(table))

    def __len__(self) -> int:
        """N."""
        return len(self.table)

    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,)."""
        batch = self.table.rows(numbers)
        more = {name: _rows(value, numbers) for name, value in self.condition.items()}
        return Batch(batch.x, batch.source, batch.condition | more)


def table_of(data: Any, labels: Any = None, condition: Mapping[str, Any] | None = None) -> Table:
    """The table of tensors or arrays, a `DataSource` or a `Dataset`; a table itself, with what is given beside it.

    `labels`: integers (N,) for a tensor, an array or a table, True for those that a source or a data set brings along.
    `condition`: name -> (N, ...), for a tensor, an array or a table.

    Raises TypeError for data of another kind (a DataLoader, an iterable without a length), ValueError for what does not fit.
    """
    if isinstance(data, Table):
        given = None if labels is True or labels is False else labels
        if given is None and not condition:
            return data
        return WithConditions(data, _conditions(given, condition, len(data)))
    data = torch.as_tensor(data) if isinstance(data, np.ndarray) else data
    if isinstance(data, Tensor):
        return TensorTable(data, _conditions(labels, condition, len(data) if data.ndim else 0))
    kind = type(data).__name__
    if _is_loader(data):
        raise TypeError(
            f"the data are a {kind}, which draws samples in an order of its own; give its data set (loader.dataset), or a "
            "data.stream.StreamTable of it"
        )
    if condition is not None or not (labels is None or isinstance(labels, bool)):
        raise TypeError(
            f"labels and conditions of a {kind} come with its rows; give labels=True, or a data set of pairs"
        )
    if isinstance(data, DataSource):
        found = data.stream(bool(labels))
        return SourceTable(data, bool(labels)) if found is None else found
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (list, tuple, str, dict)):
        return DatasetTable(data, bool(labels))
    raise TypeError(
        f"data are a torch.Tensor or an array (N, *E), a DataSource or a map-style Dataset, got {kind}; convert with "
        "torch.as_tensor"
    )


def check_batch(batch: Batch) -> Batch:
    """The batch itself, once its samples are finite floating numbers; see `validate` for what is raised."""
    validate(batch.x)
    return batch


def map_batch(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with each of its tensors changed."""
    source = None if batch.source is None else change(batch.source)
    return Batch(change(batch.x), source, {name: change(value) for name, value in batch.condition.items()})


def _conditions(labels: Any, condition: Mapping[str, Any] | None, count: int) -> dict[str, Tensor]:
    named = {name: torch.as_tensor(value) for name, value in (condition or {}).items()}
    if labels is None or labels is False:
        return named
    labels = torch.as_tensor(labels) if isinstance(labels, np.ndarray) else labels
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.shape != (count,):
        kind = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(
            f"labels are integers of shape ({count},), one a sample, got {kind}; give real vectors as "
            "condition={'name': vectors}"
        )
    return {"label": labels, **named}


def _check_condition(name: str, value: Tensor, count: int) -> None:
    if value.ndim < 1 or len(value) != count:
        raise ValueError(f"condition {name!r} has one row for each of {count} samples, got shape {tuple(value.shape)}")
    if value.is_floating_point() and not bool(torch.isfinite(value).all()):
        raise ValueError(f"condition {name!r} holds NaN or infinite numbers; drop those rows")


def _is_loader(data: Any) -> bool:
    return isinstance(data, (torch.utils.data.DataLoader, torch.utils.data.IterableDataset))


def _rows(table: Tensor, numbers: Tensor) -> Tensor:
    return table[numbers.to(table.device, non_blocking=True)]


def _bytes(value: Tensor) -> Any:
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
