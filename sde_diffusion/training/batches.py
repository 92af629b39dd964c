"""The batch of each step and the seed of its noise: pure functions of (seed, step), so that resuming needs no generator's state.

The noise and the times of a step come from one generator on the data's device that is seeded anew from (seed, step). So are
the global generators, from which torch's dropout draws; they are given back as they were found. The order of the data is a
pure function of the same two numbers (`data.order`), by the keyed generator of the noise (`solvers.random`).

torch's generator on the CPU, a Mersenne twister, uses only the lower 32 bits of a seed. `step_seed` makes these a permutation
of the 32-bit steps, so that no two steps of a run share their noise. The upper bits serve the counter-based generators of
accelerators.

References:
    Appleby, MurmurHash3, 2011, https://github.com/aappleby/smhasher, fmix32 (a bijection of 32 bits)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, TypeVar

import torch
from torch import Tensor

from sde_diffusion.conditions.dropped import PartlyDropped, drop
from sde_diffusion.data.augmentation import Augmentation
from sde_diffusion.data.base import Batch
from sde_diffusion.data.order import indices
from sde_diffusion.data.stream import Mark, StreamTable
from sde_diffusion.data.tables import Table, TensorTable, map_batch
from sde_diffusion.training.reading import Workers, as_if_alone
from solvers.random import digest, mix

T = TypeVar("T")

_Plain = tuple[Tensor, Tensor | None, dict[str, Tensor], Mark | None]

_LOW = 2**32 - 1
_OWN = 0x5DEECE66D  # what sets the noise apart from dropout within a step
_AUGMENT = 0x4155474D454E54  # "AUGMENT": what sets random changes of the samples apart
_SOURCE = 0x534F55524345  # "SOURCE": what sets the order of a second data set apart


@dataclass(frozen=True)
class Batches:
    """The rows of a table in the order that `seed` gives them, `size` a step, each step in `parts` equal parts.

    Parts are asked for one at a time, every `stride`-th where processes share them. Samples arrive on `device` in `dtype`,
    and so do real conditions; integers arrive as int64. A table that is on the device stays there. From the host's memory
    to a GPU the next part is read while the present one is computed with. With `workers` so many processes read ahead, for
    tables that are not tensors in memory already; of a stream each passes over the samples of the others.

    For a share `label_dropout` of the samples all conditions are dropped: integers become -1, "no label", real numbers 0.
    So the model learns both distributions that classifier-free guidance needs. Conditions that `dropout` names are dropped
    with a share of their own instead, independently of all others; some of their columns alone, see `PartlyDropped`.

    With a second table `source`, a batch has as many rows of it, in an order of its own. `augment` changes samples at random,
    as a function of (seed, step, number of the row); what it says it did is a condition, which is never dropped.

    References:
        Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598, algorithm 1
    """

    table: Table
    label_dropout: float
    seed: int
    size: int
    device: torch.device
    dtype: torch.dtype
    parts: int = 1
    stride: int = 1
    source: Table | None = None
    workers: int = 0
    augment: Augmentation | None = None
    dropout: Mapping[str, float | PartlyDropped] = field(default_factory=dict)

    def __post_init__(self):
        """Raises ValueError for a share outside [0, 1]."""
        for name, share in {"label_dropout": self.label_dropout, **self.dropout}.items():
            if not all(0 <= one <= 1 for one in (share.shares() if isinstance(share, PartlyDropped) else [share])):
                what = name if name == "label_dropout" else f"the dropout of {name!r}"
                raise ValueError(f"{what} is a share in [0, 1], got {share}; 0.1 is usual")

    def at(self, step: int, generator: torch.Generator, part: int = 0) -> Batch:
        """A part of the batch of a step, (B, ...) each; `generator` draws which conditions are dropped."""
        batch = map_batch(self._read(step * self.parts + part), self._moved)
        if batch.condition:
            batch = replace(batch, condition=self._dropped(batch.condition, len(batch), generator))
        return batch if self.augment is None else self._augmented(batch, self.augment, step, part)

    def _dropped(self, condition: Mapping[str, Tensor], count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The conditions of `count` samples, each dropped for its share of them."""

        def rows(share: float) -> Tensor:
            return torch.rand(count, generator=generator, device=self.device) < share

        together = rows(self.label_dropout)
        parts = {name: one for name, one in sorted(self.dropout.items()) if isinstance(one, PartlyDropped)}
        shares = {name: one.share if isinstance(one, PartlyDropped) else one for name, one in self.dropout.items()}
        own = {name: rows(shares[name]) for name in sorted(shares)}
        found = {name: drop(value, own.get(name, together)) for name, value in condition.items()}
        return found | {name: one(found[name], rows) for name, one in parts.items() if name in found}

    def noise_seed(self, step: int, part: int) -> int:
        """The seed of a part's noise: each part of a step counts as a step of its own."""
        return step_seed(self.seed, step * self.parts + part)

    @cached_property
    def _read(self) -> Callable[[int], Batch]:
        """A part by its number, step * parts + part, where its table is."""
        pin = self.device.type == "cuda" and self.table.device.type == "cpu"
        if self.workers and not isinstance(self.table, TensorTable):
            table = self.table.apart() if isinstance(self.table, StreamTable) else self.table
            travelling = Workers(replace(self, workers=0, table=table)._plain_rows, self.workers, self.stride, pin)
            return _Unpacked(travelling, self.table)
        if not pin:
            return self._rows
        return Prefetch(lambda number: map_batch(self._rows(number), Tensor.pin_memory), self.stride)

    def close(self) -> None:
        """End what reads ahead; the next batch that is asked for starts it anew."""
        read = vars(self).pop("_read", None)
        if isinstance(read, (Prefetch, _Unpacked)):
            read.close()

    def _plain_rows(self, number: int) -> _Plain:
        """What a worker sends; of a stream with the mark of the batch."""
        if isinstance(self.table, StreamTable):
            as_if_alone()
        batch = self._rows(number)
        mark = self.table.marks[-1] if isinstance(self.table, StreamTable) else None
        return batch.x, batch.source, batch.condition, mark

    def _rows(self, number: int) -> Batch:
        step, part = divmod(number, self.parts)
        batch = self.table.rows(self._numbers(step, part))
        if self.source is None:
            return batch
        rows = indices(self.seed ^ _SOURCE, step, self.size, len(self.source), part, self.parts)
        return replace(batch, source=self.source.rows(rows).x)

    def _numbers(self, step: int, part: int) -> Tensor:
        """The rows of a part, int64 (B,)."""
        return self.table.order(self.seed, step, self.size, part, self.parts)

    def _augmented(self, batch: Batch, augment: Augmentation, step: int, part: int) -> Batch:
        keys = mix(torch.tensor(mix(digest(self.seed ^ _AUGMENT), step)), self._numbers(step, part))
        x, done = augment(batch.x, keys)
        more = {} if done is None else {"augment_labels": done}
        return replace(batch, x=x, condition=batch.condition | more)

    def _moved(self, value: Tensor) -> Tensor:
        if value.dtype == torch.bool:
            return value.to(self.device, non_blocking=True)
        return value.to(self.device, self.dtype if value.is_floating_point() else torch.int64, non_blocking=True)


@dataclass(frozen=True)
class _Unpacked:
    """Batches that come from worker processes as plain tuples; the marks of a stream are kept in this process."""

    read: Workers[_Plain]
    table: Table

    def __call__(self, number: int) -> Batch:
        x, source, condition, mark = self.read(number)
        if mark is not None and isinstance(self.table, StreamTable):
            self.table.remember(mark)
        return Batch(x, source, condition)

    def close(self) -> None:
        self.read.close()


@dataclass
class Prefetch(Generic[T]):
    """`fetch`, a pure function of a number, for a caller that asks for every `stride`-th number.

    The next answer is computed in a thread meanwhile. Any other number is fetched at once, without help. An error of
    `fetch` is raised to whoever asks for that number.
    """

    fetch: Callable[[int], T]
    stride: int = 1
    expected: int | None = None
    answer: Future[T] | None = None
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "prefetch"))

    def __call__(self, number: int) -> T:
        """fetch(number)."""
        ready = self.answer is not None and self.expected == number
        value = self.answer.result() if ready else self.fetch(number)  # pyright: ignore[reportOptionalMemberAccess]
        self.expected = number + self.stride
        self.answer = self.pool.submit(self.fetch, self.expected)
        return value

    def close(self) -> None:
        """End the thread."""
        self.pool.shutdown(wait=False, cancel_futures=True)


def step_seed(seed: int, step: int) -> int:
    """64 bits for a step of a run; the lower 32 differ for any two steps below 2^32 of one seed."""
    key = digest(seed)
    low = _mix32(_mix32(step & _LOW ^ key & _LOW) ^ key >> 32 & _LOW)
    return (mix(key, step) & _LOW) << 32 | low


@contextmanager
def seeded_generators(device: torch.device) -> Iterator[Callable[[int], torch.Generator]]:
    """Yields a function that seeds the global generators, and one of its own, which it returns, from a 64-bit number.

    At the end the global generators of the CPU and of `device` have the states in which they were found.
    """
    shared = [torch.default_generator, *_default_of(device)]
    found = [generator.get_state() for generator in shared]
    own = torch.Generator(device)

    def seed(bits: int) -> torch.Generator:
        for generator in shared:
            generator.manual_seed(bits)
        return own.manual_seed(bits ^ _OWN)

    try:
        yield seed
    finally:
        for generator, state in zip(shared, found, strict=True):
            generator.set_state(state)


def _default_of(device: torch.device) -> list[torch.Generator]:
    if device.type != "cuda":
        return []
    torch.cuda.init()
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.cuda.default_generators[index]]


def _mix32(h: int) -> int:
    h = (h ^ h >> 16) * 0x85EBCA6B & _LOW
    h = (h ^ h >> 13) * 0xC2B2AE35 & _LOW
    return h ^ h >> 16
