"""When something is due: reports, checkpoints and snapshots of the loop, and callbacks.

Each is a pure function of the step, so that a resumed run acts at the steps at which an undisturbed one would.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from sde_diffusion.training.settings import TrainSettings


class Trigger(ABC):
    """Some of the steps 1, 2, 3, ..."""

    @abstractmethod
    def last(self, step: int) -> int:
        """The last of them up to `step`; 0 before the first one."""

    def within(self, before: int, step: int) -> bool:
        """Whether one of them lies in (before, step]."""
        return self.last(step) > before


@dataclass(frozen=True)
class Every(Trigger):
    """The multiples of `steps`."""

    steps: int

    def __post_init__(self) -> None:
        """Raises ValueError unless `steps` is a whole number from 1."""
        _check(self.steps)

    def last(self, step: int) -> int:
        """The last multiple."""
        return step // self.steps * self.steps


@dataclass(frozen=True)
class Doubling(Trigger):
    """`first`, then twice as late each time: frequent early, rare later."""

    first: int = 100

    def __post_init__(self) -> None:
        """Raises ValueError unless `first` is a whole number from 1."""
        _check(self.first)

    def last(self, step: int) -> int:
        """`first` times the largest power of two that is not too large."""
        return self.first << (step // self.first).bit_length() - 1 if step >= self.first else 0


def _check(steps: int) -> None:
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"a trigger counts a whole number of steps, at least 1, got {steps!r}; give 500")


@dataclass(frozen=True)
class RunTriggers:
    """Those of a run; each method is asked with the number of steps that are done."""

    settings: TrainSettings

    def next_report(self, step: int) -> int:
        """The step of the next report."""
        return self._next(step, self.settings.log_every)

    def next_sync(self, step: int) -> int:
        """The step of the next host synchronisation with the device, where one may also save."""
        settings = self.settings
        often = (settings.checkpoint_every, settings.max_consecutive_skips, settings.snapshot_every)
        return min(self._next(step, every) for every in often if every)

    def checkpoint(self, step: int, last_saved: int, finite: bool) -> bool:
        """Whether a multiple of `checkpoint_every` was passed since `last_saved`, by a step that was `finite`."""
        every = self.settings.checkpoint_every
        return step == self.settings.steps or (finite and step // every > last_saved // every)

    def snapshot(self, step: int) -> bool:
        """Whether this step's averages are kept: each multiple of `snapshot_every`, and the last step."""
        every = self.settings.snapshot_every
        return min(every, step) > 0 and (step % every == 0 or step == self.settings.steps)

    def _next(self, step: int, every: int) -> int:
        """The first multiple of `every` after `step`, or the last step."""
        return min((step // every + 1) * every, self.settings.steps)
