"""Data that come one after another and have no row numbers: a stream, read by its position all the same.

Position p is the pth sample since the first, epochs end to end. Reading goes forward; a position that lies behind is reached
from the beginning. So a batch is a function of the position alone wherever the stream gives the same samples each time that it
is read, and a resumed run sees the batches that it would have seen. The order is the stream's own.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data.base import Batch
from sde_diffusion.data.tables import Table, TensorTable, check_batch
from sde_diffusion.io.atomic import to_json

Row = tuple[Tensor, dict[str, Any]]
"""A sample and what it is conditioned on, by name."""

_END = object()

FIRST, KEPT = 64, 8
"""The samples that identify a stream, and the batches that are remembered."""

LARGEST = 2**24
"""Samples of a batch."""


@dataclass(frozen=True)
class Mark:
    """The state of a stream before a batch: `count` samples from `position` on, in an epoch, and their digest."""

    position: int
    count: int
    epoch: int
    state: Any
    digest: str


class StreamTable(Table):
    """Samples of an iterable, read at positions."""

    def __init__(
        self,
        iterable: Iterable[Any],
        row: Callable[[Any], Row],
        class_names: tuple[str, ...] | None = None,
        change: Callable[[Batch], Batch] | None = None,
        examples: Table | None = None,
        identity: str = "",
    ) -> None:
        """Nothing is read yet.

        Args:
            iterable: gives its samples anew each time that it is iterated; a copy of it is. `set_epoch(epoch)` is called
                before, where there is one. With `state_dict()` and `load_state_dict(state)`, as Hugging Face's
                `IterableDataset` has, a resumed run need not read what was read before.
            row: makes a `Row` of a sample. It is not called for samples that are passed over.
            class_names: the names of the classes, where rows have a `label`.
            change: of a batch, such as a standardisation of its samples.
            examples: a table of some of the samples, which the mean and the deviation are found from.
            identity: what else than the first samples tells these data from others.

        Raises TypeError for an iterator, which gives its samples once.
        """
        if iter(iterable) is iterable:
            raise TypeError(f"a {type(iterable).__name__} gives its samples once; give what makes it, with __iter__")
        self.iterable, self.row, self.class_names, self.change = iterable, row, class_names, change
        self.examples, self.identity = examples, identity
        self.marks: list[Mark] = []
        self._begin(0, {}, 0)

    def __len__(self) -> int:
        """Raises TypeError: nobody knows."""
        raise TypeError("a stream has no length; where one is needed give its first samples, stream.head(4096)")

    def order(self, seed: int, step: int, size: int, part: int = 0, parts: int = 1) -> Tensor:
        """The positions of a part of a step, one after another: the order is that of the stream, whatever the seed."""
        share = size // parts
        return torch.arange(step * size + part * share, step * size + (part + 1) * share)

    def spaced(self, most: int) -> Tensor:
        """The first positions, int64, `most` or `FIRST` of them."""
        return torch.arange(min(most, FIRST))

    def rows(self, numbers: Tensor) -> Batch:
        """The samples at consecutive positions, int64 (B,). Raises ValueError for other ones, or a stream without samples."""
        start = int(numbers[0])
        if not torch.equal(numbers.cpu(), torch.arange(start, start + len(numbers))):
            raise ValueError("a stream is read at consecutive positions, as its `order` gives them")
        self._go_to(start)
        epoch, state = self._epoch, self._state()
        batch = _collated([self._next() for _ in range(len(numbers))])
        self.remember(Mark(start, len(numbers), epoch, state, _digest(batch.x)))
        return batch if self.change is None else self.change(batch)

    def chunks(self) -> Iterator[Batch]:
        """All examples, so many at a time that they take little memory. Raises TypeError for a stream without."""
        return super().chunks() if self.examples is None else self.examples.chunks()

    def head(self, count: int) -> TensorTable:
        """The first `count` samples in memory, such as for `DiffusionModel.for_data`."""
        found = self.rows(torch.arange(count))
        return TensorTable(found.x, found.condition)

    def changed(self, change: Callable[[Batch], Batch]) -> StreamTable:
        """The same stream from its beginning, its batches changed; the examples are left behind."""
        first = self.change
        both = change if first is None else Changes(first, change)
        return StreamTable(self.iterable, self.row, self.class_names, both, identity=self.identity)

    def apart(self) -> StreamTable:
        """The same stream for another process: it shares no open file with this one, and begins where this one was last."""
        found = StreamTable(self.iterable, self.row, self.class_names, self.change, self.examples, self.identity)
        if self.marks and self.marks[-1].state is not None:
            found._begin(self.marks[-1].epoch, self.marks[-1].state, self.marks[-1].position)
        return found

    def digest(self) -> dict[str, str]:
        """SHA-256 of the first samples and their conditions, which identify a stream; what comes later is not known."""
        batch = check_batch(self.rows(self.spaced(FIRST)))
        words = " ".join(filter(None, ["stream", self.identity, _digest(batch.x)]))
        return {"data": words} | {name: f"stream {_digest(value)}" for name, value in batch.condition.items()}

    def state(self, position: int) -> dict[str, Any] | None:
        """What `load` goes on from, as plain data: the last few batches that end by `position`, and the state before them.

        None where none is remembered.
        """
        known = [mark for mark in self.marks if mark.position + mark.count <= position]
        if not known:
            return None
        batches = [[mark.position, mark.count, mark.digest] for mark in known]
        return {"epoch": known[0].epoch, "state": known[0].state, "batches": batches}

    def load(self, state: dict[str, Any] | None) -> None:
        """Go on from a `state`, once the stream gives its batches again; where it does not, it is read from its beginning.

        A UserWarning says so. Raises ValueError where that gives other batches too: the data have changed.
        """
        self._begin(0, {}, 0)
        self.marks = []
        if state is None:
            return
        position = int(state["batches"][0][0])
        if state["state"] is not None:
            self._begin(state["epoch"], state["state"], position)
            if self._gives(state["batches"]):
                return
            warnings.warn(
                "the state of the stream does not hold all of it, as with a shuffle buffer: it is read from its beginning up "
                f"to sample {position:,} instead",
                stacklevel=2,
            )
            self._begin(0, {}, 0)
        if not self._gives(state["batches"]):
            raise ValueError(
                f"the stream gives other samples from number {position:,} on than before; give the data of the run, in an "
                "order that is the same each time"
            )

    def _gives(self, batches: list[list[Any]]) -> bool:
        """Whether these batches follow."""
        for position, count, digest in batches:
            self.rows(torch.arange(position, position + count))
            if self.marks[-1].digest != digest:
                self.marks = []
                return False
        return True

    def _go_to(self, position: int) -> None:
        if self._position > position:
            self._begin(0, {}, 0)
        while self._position < position:
            self._item()

    def _next(self) -> Row:
        return self.row(self._item())

    def _item(self) -> Any:
        for _ in range(2):
            if self._reader is None:
                self._reader = self._opened()
            found = next(self._reader, _END)
            if found is not _END:
                self._position += 1
                return found
            self._begin(self._epoch + 1, {}, self._position)
        raise ValueError("the stream gives no samples; check where it reads from")

    def _begin(self, epoch: int, state: Any, position: int) -> None:
        """Read from a state within an epoch, {} at its beginning, which is known as a position."""
        self._source, self._reader = None, None
        self._epoch, self._from, self._position = epoch, state, position

    def _opened(self) -> Iterator[Any]:
        apart = hasattr(
            self.iterable, "load_state_dict"
        )  # copies of Hugging Face's share their epoch, between processes too
        self._source = copy.deepcopy(self.iterable) if apart else copy.copy(self.iterable)
        if hasattr(self._source, "set_epoch"):
            self._source.set_epoch(self._epoch)  # pyright: ignore[reportAttributeAccessIssue]
        if self._from:
            self._source.load_state_dict(copy.deepcopy(self._from))  # pyright: ignore[reportAttributeAccessIssue]
        return iter(self._source)

    def _state(self) -> Any:
        """The state at the present position, {} at the beginning of an epoch, None where the iterable has none."""
        if self._reader is None:
            return self._from
        asked = getattr(self._source, "state_dict", None)
        return None if asked is None else copy.deepcopy(asked())

    def remember(self, mark: Mark) -> None:
        """Keep a batch's mark, which this table or one in another process has made."""
        before = [one for one in self.marks if one.position < mark.position]
        self.marks = [*before, mark][-KEPT:]


@dataclass(frozen=True)
class Changes:
    """Two changes of a batch, one after the other."""

    first: Callable[[Batch], Batch]
    second: Callable[[Batch], Batch]

    def __call__(self, batch: Batch) -> Batch:
        """The batch after both."""
        return self.second(self.first(batch))


@dataclass(frozen=True)
class Followed:
    """The stream of a run, whose checkpoints carry how far it was read."""

    stream: StreamTable
    batch_size: int

    def state(self, step: int) -> dict[str, Any] | None:
        """That of the stream after so many steps."""
        return self.stream.state(step * self.batch_size)

    def load(self, state: Any) -> None:
        """Go on from one. Raises ValueError for what is none, or of other data."""
        self.stream.load(None if state is None else _checked(state))


def _checked(state: Any) -> dict[str, Any]:
    """A state of a checkpoint. Raises ValueError for anything else."""
    try:
        found = {"epoch": int(state["epoch"]), "state": state["state"], "batches": list(state["batches"])}
        fine = all(
            position >= 0 and 0 < count <= LARGEST and isinstance(digest, str)
            for position, count, digest in found["batches"]
        )
    except (TypeError, KeyError, ValueError, LookupError) as error:
        raise ValueError("the place in the stream is none") from error
    if not fine or not found["batches"]:
        raise ValueError("the place in the stream is none")
    return found


def _collated(rows: list[Row]) -> Batch:
    names = rows[0][1].keys()
    condition = {name: torch.stack([torch.as_tensor(one[name]) for _, one in rows]) for name in names}
    return Batch(torch.stack([x for x, _ in rows]), condition=condition)


def _digest(x: Tensor) -> str:
    head = to_json([list(x.shape), str(x.dtype)])
    return hashlib.sha256(head + x.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
