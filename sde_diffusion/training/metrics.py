"""The reports of a training run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A report.

    Attributes:
        step: how many steps are done.
        loss: the mean over the finite steps since the last report; NaN when there were none.
        gradient_norm: likewise, before clipping.
        learning_rate: that of the last step.
        images_per_second: samples a second since the last report, the caller's own time left out.
        skipped: how many steps were skipped since the start of the run because their loss or gradient was not finite.
    """

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    images_per_second: float
    skipped: int
