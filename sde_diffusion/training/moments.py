"""When an observer looks: a pure function of the step, so that a resumed run looks where an undisturbed one would."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


class Moments(ABC):
    """Some of the steps 1, 2, 3, ..."""

    @abstractmethod
    def last(self, step: int) -> int:
        """The last moment up to `step`; 0 before the first one."""

    def within(self, before: int, step: int) -> bool:
        """Whether a moment lies in (before, step]."""
        return self.last(step) > before


@dataclass(frozen=True)
class Every(Moments):
    """The multiples of `steps`."""

    steps: int

    def __post_init__(self) -> None:
        _check(self.steps)

    def last(self, step: int) -> int:
        """The last multiple."""
        return step // self.steps * self.steps


@dataclass(frozen=True)
class Doubling(Moments):
    """`first`, then twice as late each time: what forms early is seen, and a long run costs a few looks."""

    first: int = 100

    def __post_init__(self) -> None:
        _check(self.first)

    def last(self, step: int) -> int:
        """`first` times the largest power of two that is not too large."""
        return self.first << (step // self.first).bit_length() - 1 if step >= self.first else 0


def _check(steps: int) -> None:
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"moments are a whole number of steps apart, at least 1, got {steps!r}; give 500")
