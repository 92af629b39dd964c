"""The next batch is fetched while the present one is computed with: for data in the host's memory and a model on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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
