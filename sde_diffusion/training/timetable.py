"""What falls due after which step: reports, checkpoints, snapshots, and looks at the device."""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.training.settings import TrainSettings


@dataclass(frozen=True)
class Timetable:
    """That of a run; every one of its methods is asked with the number of steps that are done."""

    settings: TrainSettings

    def next_report(self, step: int) -> int:
        """The step of the next report."""
        return self._next(step, self.settings.log_every)

    def next_look(self, step: int) -> int:
        """The step of the next look at the device, where one may also save."""
        often = (self.settings.checkpoint_every, self.settings.patience, self.settings.snapshot_every)
        return min(self._next(step, every) for every in often if every)

    def checkpoint(self, step: int, kept: int, settled: bool) -> bool:
        """Whether a multiple of `checkpoint_every` was passed since step `kept`, by a step that was finite (`settled`)."""
        every = self.settings.checkpoint_every
        return step == self.settings.steps or (settled and step // every > kept // every)

    def snapshot(self, step: int) -> bool:
        """Whether this step's averages are kept: each multiple of `snapshot_every`, and the last step."""
        every = self.settings.snapshot_every
        return min(every, step) > 0 and (step % every == 0 or step == self.settings.steps)

    def _next(self, step: int, every: int) -> int:
        """The first multiple of `every` after `step`, or the last step."""
        return min((step // every + 1) * every, self.settings.steps)
