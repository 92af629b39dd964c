"""What the readers of one's own files share: a table of samples, checked once, of which a share is held out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.data.base import DataSource, Rows, check_indices, check_split
from sde_diffusion.data.labels import Labels
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.data.split import held_out
from sde_diffusion.data.tables import rows_at_a_time

FLOAT32_MOST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Contents:
    """What a file or a folder holds.

    Attributes:
        values: numbers (N, *E), perhaps on the disk; uint8 for quantised values.
        labels: their classes, or None.
        items: what each sample is, for the split: a name, or None for its numbers.
        notes: what was done to the data or passed over, in sentences.
        condition: the numbers of their conditions (N, K), or None.
    """

    values: np.ndarray
    labels: Labels | None = None
    items: tuple[bytes, ...] | None = None
    notes: tuple[str, ...] = ()
    condition: np.ndarray | None = None


class OwnData(DataSource):
    """A source of one's own data at a `place`. A share `held_out` in (0, 1), picked by a hash of each sample with the key
    `seed`, is kept from training: a sample that is added or moved changes the side of no other. A sample's numbers are
    those of its condition too."""

    held_out: float
    seed: int

    @property
    @abstractmethod
    def place(self) -> str:
        """The file or the folder, for messages."""

    @abstractmethod
    def read(self) -> Contents:
        """All that is there. Raises ValueError, in a sentence that names the file, for what cannot be read."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self._contents.values.shape[1:]

    @property
    def levels(self) -> int | None:
        """256 for uint8 values, None for other numbers."""
        return 256 if self._contents.values.dtype == np.uint8 else None

    @property
    def classes(self) -> int | None:
        """The number of labels, or None."""
        return None if self._contents.labels is None else len(self._contents.labels[1])

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes as the file has them."""
        return None if self._contents.labels is None else self._contents.labels[1]

    def summary(self) -> dict[str, Any]:
        """What was done to the data or passed over, in sentences, as `notes`."""
        return {"notes": list(self._contents.notes)}

    def size(self, split: str = "train") -> int:
        """How many samples the split holds."""
        return len(self._rows[check_split(split)])

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """Samples (B, *E) and labels (B,) or None at `indices`."""
        table = self._rows[check_split(split)]
        rows = table[check_indices(indices, len(table))]
        values = np.ascontiguousarray(self._contents.values[rows.numpy()])
        x = torch.from_numpy(values if values.dtype == np.uint8 else values.astype(np.float32))
        labels = None if self._contents.labels is None else self._contents.labels[0][rows]
        return (from_levels(x) if self.levels else x), labels

    def condition_rows(self, indices: Tensor, split: str = "train") -> Tensor | None:
        """The numbers of the conditions, float64 (B, K), or None."""
        table, found = self._rows[check_split(split)], self._contents.condition
        rows = table[check_indices(indices, len(table))]
        return None if found is None else torch.from_numpy(found[rows.numpy()].astype(np.float64))

    @cached_property
    def _contents(self) -> Contents:
        found = self.read()
        count = len(found.values) if found.values.ndim else 0
        given = {"labels": found.labels and found.labels[0], "conditions": found.condition}
        for name, rows in given.items():
            if rows is not None and len(rows) != count:
                raise ValueError(f"{self.place!r} holds {count} samples and {len(rows)} {name}; give one for each")
        return found

    @cached_property
    def _rows(self) -> dict[str, Tensor]:
        """The rows of both splits, int64."""
        found = self._contents
        items: Iterable[bytes] = checked_rows(found.values, self.place)
        if found.condition is not None:
            conditions = checked_rows(found.condition, f"{self.place}, conditions")
            items = (a + b for a, b in zip(items, conditions, strict=True))
        if found.items is not None:
            for _ in items:  # checked as well
                pass
            items = found.items
        try:
            apart = held_out(items, self.held_out, self.seed)
        except ValueError as error:
            raise ValueError(f"{self.place!r}: {error}") from error
        return {"train": (~apart).nonzero()[:, 0], "held_out": apart.nonzero()[:, 0]}


def checked_rows(values: np.ndarray, place: str) -> Iterator[bytes]:
    """The bytes of each sample, read a few at a time. Raises ValueError for numbers that are not finite in float32."""
    size = rows_at_a_time(values.shape[1:])
    for start in range(0, len(values), size):
        chunk = np.ascontiguousarray(values[start : start + size])
        if chunk.dtype != np.uint8:
            good = np.abs(chunk.astype(np.float64, copy=False).reshape(len(chunk), -1)) <= FLOAT32_MOST
            if not good.all():
                row = start + int(np.flatnonzero(~good.all(1))[0])
                raise ValueError(
                    f"{place!r} holds numbers that are NaN, infinite or too large for float32, the first in row {row} "
                    "(counted from 0); remove those rows"
                )
        yield from (row.tobytes() for row in chunk)


def existing_file(path: str) -> Path:
    """The path of a file that is there; ValueError for a folder, a pipe or nothing."""
    found = Path(path)
    if "\0" in path or not found.is_file():
        what = "is no file" if "\0" not in path and found.exists() else "is not there"
        raise ValueError(f"{path!r} {what}; name a file of data")
    return found
