"""Batches that worker processes read: `torch.utils.data.DataLoader` in the order in which a run asks for them.

Batch number k is a pure function of k, so that a reader starts anywhere and the number of workers changes no bit. Workers
ignore SIGINT and SIGTERM, which often reach a whole group of processes: they end with the process that reads. An error
within one is raised where its batch is asked for, as it is.
"""

from __future__ import annotations

import itertools
import pickle
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from sde_diffusion.training.errors import LOST_WORKER, first_line

T = TypeVar("T")

AHEAD = 2
"""How many batches each worker reads ahead."""


@dataclass
class Workers(Generic[T]):
    """`fetch`, a pure function of a number, for a caller that asks for every `stride`-th number: `count` processes compute it.

    A number that is out of turn starts the processes anew. `fetch` gives tensors, tuples and dicts of them, which arrive in
    pinned memory with `pin`.
    """

    fetch: Callable[[int], T]
    count: int
    stride: int = 1
    pin: bool = False
    expected: int | None = None
    answers: Iterator[Any] | None = field(default=None, repr=False)
    end: Finalize | None = field(default=None, repr=False)

    def __call__(self, number: int) -> T:
        """fetch(number). Raises RuntimeError in torch's words, which begin with LOST_WORKER, where a process is gone."""
        if self.answers is None or self.expected != number:
            self.close()
            self.answers = self._started(number)
            self.end = Finalize(self, _end, (self.answers,), exitpriority=10)  # before the interpreter waits for them
        self.expected = number + self.stride
        try:
            answer = next(self.answers)
        except (OSError, EOFError) as error:  # the other end of a pipe is gone
            raise RuntimeError(f"{LOST_WORKER} is gone: {first_line(error)}") from error
        if isinstance(answer, _Failed):
            raise answer.error
        return answer

    def close(self) -> None:
        """End the processes."""
        end, self.end, self.answers = self.end, None, None
        if end is not None:
            end()

    def _started(self, number: int) -> Iterator[Any]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
            loader = DataLoader(
                _Numbered(self.fetch),
                batch_size=None,
                sampler=itertools.count(number, self.stride),
                num_workers=self.count,
                prefetch_factor=AHEAD,
                collate_fn=_same,
                worker_init_fn=_begin,
                pin_memory=self.pin,
                generator=torch.Generator(),  # else the loader draws from the global one, from which dropout does
            )
            return iter(loader)


def _end(answers: Any) -> None:
    """Ask the processes to end, and end those that do not: they ignore SIGTERM."""
    processes = list(answers._workers)
    answers._shutdown_workers()
    for process in processes:
        if process.is_alive():
            process.kill()


@dataclass(frozen=True)
class _Failed:
    error: Exception


class _Numbered(Dataset):
    """What `fetch` gives, or the error that it raises."""

    def __init__(self, fetch: Callable[[int], Any]) -> None:
        self.fetch = fetch

    def __getitem__(self, number: int) -> Any:
        try:
            return self.fetch(number)
        except Exception as error:
            return _Failed(_portable(error))


def _portable(error: Exception) -> Exception:
    """The error, or its words where it cannot travel between processes."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return RuntimeError(f"{type(error).__name__}: {error}")


def _same(item: Any) -> Any:
    return item


def _begin(worker: int) -> None:
    """The reading process has handlers of its own, which a fork inherits."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def as_if_alone() -> None:
    """For a worker that is asked for whole batches of a stream: it is not one of several that share it out.

    Iterables that ask torch which worker they are in, such as Hugging Face's, would give a part of their samples.
    """
    torch.utils.data._utils.worker._worker_info = None  # pyright: ignore
