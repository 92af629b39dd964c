"""What a training run is asked to do: plain numbers, no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

_HARMLESS = ("checkpoint_every", "keep", "log_every", "patience")


@dataclass(frozen=True)
class TrainSettings:
    """The numbers of one run. A step is one update of the parameters from `batch_size` events.

    Attributes:
        steps: how many updates.
        batch_size: events of one update, over all processes.
        microbatches: equal parts of a batch, computed one after another or shared out among processes, a multiple of
            their number. Each part draws its own noise: the number of parts decides the weights, that of processes not.
        learning_rate: Adam's, at its highest; see `schedule.rate` for its rise and its fall to zero.
        warmup: the updates over which it rises.
        clip: the largest norm of the whole gradient; a longer one is shortened to it. math.inf lets all pass.
        ema_decay: how much of the averaged weights one update keeps, once warm; see `ema.EMA`.
        seed: keys the order of the data, the noise, the times and the dropout.
        checkpoint_every: updates between two checkpoints.
        keep: how many checkpoints stay on disk.
        log_every: updates between two reports.
        patience: how many updates in a row may be skipped for a loss or gradient that is not finite.
    """

    steps: int = 10_000
    batch_size: int = 256
    microbatches: int = 1
    learning_rate: float = 1e-3
    warmup: int = 100
    clip: float = 1.0
    ema_decay: float = 0.999
    seed: int = 0
    checkpoint_every: int = 1000
    keep: int = 3
    log_every: int = 50
    patience: int = 10

    def __post_init__(self):
        """Raises TypeError for what is no number, ValueError for one out of range."""
        for name in ("steps", "batch_size", "microbatches", "checkpoint_every", "keep", "log_every", "patience"):
            self._whole(name, 1, math.inf)
        self._whole("warmup", 0, math.inf)
        self._whole("seed", 0, 2**64 - 1)
        if self.batch_size % self.microbatches:
            raise ValueError(
                f"{self.microbatches} microbatches do not divide a batch of {self.batch_size} evenly; take a divisor"
            )
        self._real("learning_rate", 0 < self.learning_rate < math.inf, "positive and finite")
        self._real("clip", self.clip > 0, "positive")
        self._real("ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)")

    def deciding(self) -> dict[str, float]:
        """The numbers that decide the weights; the others only say when to report, to save and to give up."""
        return {name: value for name, value in asdict(self).items() if name not in _HARMLESS}

    def _whole(self, name: str, low: int, high: float) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} is a whole number, got {value!r}; write it without a point")
        if not low <= value <= high:
            above = "" if high == math.inf else f" and at most {high}"
            raise ValueError(f"{name} is at least {low}{above}, got {value}; correct it")

    def _real(self, name: str, fine: bool, expected: str) -> None:
        if not fine:
            raise ValueError(f"{name} is {expected}, got {getattr(self, name)}; correct it")
