"""The samples of each step, drawn from tables that stay where they are.

The next batch is fetched while the present one is computed with: for data in the host's memory and a model on a GPU.

The events of each step, drawn from tables that stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

import torch
from torch import Tensor

from sde_diffusion.data.base import validate
from sde_diffusion.data.order import indices

T = TypeVar("T")


@dataclass
class Prefetch(Generic[T]):
    """`fetch`, a pure function of a number, for whoever asks for every `stride`-th number.

    The answer for the next one is computed in a thread meanwhile; another question than the expected one costs what it
    costs without. An error of `fetch` is raised to who asks for that number.
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


NO_LABEL = -1

Part = tuple[Tensor, Tensor | None]
"""Events and perhaps their labels."""


@dataclass(frozen=True)
class Batches:
    """Events (N, *E) and perhaps labels (N,), and the order in which `seed` shows them, `size` at a time.

    Each batch has `parts` equal parts, asked for one at a time, every `stride`-th where processes share them. A part
    travels to `device`; tables that are there already, where they fit, travel no more, and from the host's memory to a
    GPU the next part is on its way before it is asked for. A share `label_dropout` of the labels is replaced by -1, "no
    label", so that the model learns both laws that classifier-free guidance needs.

    References:
        Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598, algorithm 1
    """

    data: Tensor
    labels: Tensor | None
    label_dropout: float
    seed: int
    size: int
    device: torch.device
    dtype: torch.dtype
    parts: int = 1
    stride: int = 1

    def __post_init__(self):
        """Raises TypeError or ValueError for data that are not finite (N, *E) or labels that are not int (N,)."""
        validate(self.data)
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(f"label_dropout is a share in [0, 1], got {self.label_dropout}; 0.1 is usual")
        if self.labels is not None:
            _check_labels(self.labels, len(self.data))

    def at(self, step: int, generator: torch.Generator, part: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """Events (B, *E) of a part of a step and what the model is told of them: {} or {"label": int64 (B,)}."""
        events, labels = self._source(step * self.parts + part)
        events = events.to(self.device, self.dtype, non_blocking=True)
        if labels is None:
            return events, {}
        labels = labels.to(self.device, torch.int64, non_blocking=True)
        dropped = torch.rand(len(labels), generator=generator, device=self.device) < self.label_dropout
        return events, {"label": labels.masked_fill(dropped, NO_LABEL)}

    @cached_property
    def _source(self) -> Callable[[int], Part]:
        """A part by its number, step * parts + part, where its tables are."""
        if self.device.type != "cuda" or self.data.device.type != "cpu":
            return self._rows_of
        return Prefetch(self._pinned, self.stride)

    def _rows_of(self, number: int) -> Part:
        step, part = divmod(number, self.parts)
        rows = indices(self.seed, step, self.size, len(self.data), part, self.parts)
        return _rows(self.data, rows), None if self.labels is None else _rows(self.labels, rows)

    def _pinned(self, number: int) -> Part:
        events, labels = self._rows_of(number)
        return events.pin_memory(), None if labels is None else labels.pin_memory()


def _rows(table: Tensor, rows: Tensor) -> Tensor:
    return table[rows.to(table.device, non_blocking=True)]


def _check_labels(labels: Tensor, count: int) -> None:
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.shape != (count,):
        kind = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"labels are integers of shape ({count},), one an event, got {kind}; drop or convert them")
