"""The running metrics of a training loop, kept on the device, and the reports made of them.

What the training loop tells its caller.

Sums over the steps, kept on the device, so that a step never waits for a number to travel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Progress:
    """A report.

    Attributes:
        step: how many steps are done.
        loss: the mean over the finite steps since the last report; NaN when there were none.
        gradient_norm: likewise, before clipping.
        learning_rate: that of the last step.
        images_per_second: events a second since the last report, the caller's own time left out.
        skipped: how many steps were skipped since the start of the run because their loss or gradient was not finite.
    """

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    images_per_second: float
    skipped: int


class MetricsReading(NamedTuple):
    """The sums on the host. Means are over the finite steps since the last report; NaN when there were none.

    `row` steps were skipped up to this moment without a finite one between, `worst` is the longest such row.
    """

    loss: float
    gradient_norm: float
    skipped: int
    row: int
    worst: int


class RunningMetrics:
    """Six numbers: sum of losses, of gradient norms, finite steps, steps skipped in all, those in a row, the worst row.

    The first three run since the last report, the worst row since the last reading; all of them are state: a resumed
    run reports the same means.
    """

    def __init__(self, device: torch.device) -> None:
        self.numbers = torch.zeros(6, device=device, dtype=torch.float32)

    @torch.no_grad()
    def add(self, loss: Tensor, norm: Tensor, forgiven: Tensor | None = None) -> Tensor:
        """Count a step by its loss () and gradient norm (); 0. or 1. on the device: whether it must be skipped.

        `forgiven`, bool (), says that a norm beyond all numbers is to be expected here, and ends no row.
        """
        good = torch.isfinite(loss + norm)
        pair = torch.stack([loss, norm]).to(self.numbers)
        new = torch.cat([torch.where(good, pair, 0.0), torch.stack([good, ~good]).to(self.numbers)])
        self.numbers[:4] += new
        row = (self.numbers[4] + 1) * new[3]
        if forgiven is not None:
            row = torch.where(forgiven & torch.isfinite(loss), self.numbers[4] * new[3], row)
        self.numbers[5] = torch.maximum(self.numbers[5], row)
        self.numbers[4] = row
        return new[3]

    def read(self) -> MetricsReading:
        """Wait for the device. The worst row starts again; a row in progress goes on."""
        loss, norm, counted, skipped, row, worst = self.numbers.tolist()
        self.numbers[5] = 0
        means = (loss / counted, norm / counted) if counted else (math.nan, math.nan)
        return MetricsReading(*means, int(skipped), int(row), int(worst))

    def report(self) -> MetricsReading:
        """The same, and the means start again."""
        reading = self.read()
        self.numbers[:3] = 0
        return reading

    def state(self) -> list[float]:
        """The numbers, for a checkpoint."""
        return self.numbers.tolist()

    def load(self, numbers: list[float]) -> None:
        """Go on from `state()`; ValueError for anything else."""
        if len(numbers) != len(self.numbers) or not all(map(math.isfinite, numbers)):
            raise ValueError(
                f"a tally has {len(self.numbers)} finite numbers, got {numbers}; the checkpoint is foreign"
            )
        self.numbers.copy_(torch.tensor(numbers))
