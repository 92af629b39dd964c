"""How good samples of a data set are: distances to held-out data, beside those of as many real events.

A distance of finite samples is too large by an amount that depends on their number, so a distance of generated events
means something only beside `floor`, the same distance of equally many real training events, and as their ratio.
Pictures are compared as they are and by the features of a classifier that was trained on the real ones; points of the
plane as they are. Imported only when a command measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sde_diffusion.data import DataSource
from sde_diffusion.metrics import (
    Classifier,
    Estimate,
    bootstrap,
    class_shares,
    copied_share,
    frechet,
    nearest,
    sliced_wasserstein,
    train_classifier,
)
from sde_diffusion.report.comparison import Score

MOST = 1000
"""The most held-out events that are compared with."""

FLOOR_SETS = 4
"""The most sets of real training events that the floor is a mean over."""

RESAMPLES = 40


@dataclass(frozen=True)
class Yardstick:
    """A distance between two sets of events: what it is called, the rows (N, D) it looks at, and how they compare."""

    name: str
    rows: Callable[[Tensor], Tensor]
    distance: Callable[[Tensor, Tensor], float]


class Judge:
    """The held-out events of a data set, at most `MOST` of them, and the yardsticks that suit its events."""

    def __init__(self, source: DataSource, seed: int = 0) -> None:
        self.source, self.seed = source, seed
        held_out, train = source.tensors("held_out"), source.tensors("train")
        self.held_out, self.labels = held_out[0][:MOST], None if held_out[1] is None else held_out[1][:MOST]
        self.train, self.train_labels = train
        self.count = len(self.held_out)
        if self.count < 2 or len(self.train) < self.count:
            raise ValueError(
                f"{self.count} held-out and {len(self.train)} training events are too few to compare with; hold out at "
                "least 2, and at most half of the data"
            )

    @cached_property
    def classifier(self) -> Classifier | None:
        """Trained on the real pictures; None for events that are no pictures or have no labels."""
        if len(self.source.event_shape) != 3 or self.train_labels is None or self.source.classes is None:
            return None
        return train_classifier(self.train, self.train_labels, self.source.classes, seed=self.seed)

    @cached_property
    def yardsticks(self) -> list[Yardstick]:
        """The distances that suit the events."""
        if len(self.source.event_shape) != 3:
            return [Yardstick("sliced W2", _flat, sliced_wasserstein)]
        pixels = [Yardstick("Frechet, pixels", _flat, frechet)]
        if self.classifier is None:
            return pixels
        return [*pixels, Yardstick("Frechet, features", self.classifier.features, frechet)]

    @cached_property
    def floor(self) -> dict[str, Estimate]:
        """Each distance of `count` real training events to the held-out ones: the mean over disjoint sets of them."""
        return {yardstick.name: self._floor(yardstick) for yardstick in self.yardsticks}

    def scores(self, x: Tensor) -> list[Score]:
        """The distances of samples x (k count, *E), each the mean over k sets of `count`, with their intervals.

        The intervals come from drawing x and the held-out events again. ValueError for any other number of samples: the
        floor could not be held against their distance.
        """
        if len(x) == 0 or len(x) % self.count:
            raise ValueError(f"the floor is that of {self.count} events, got {len(x)} samples; draw a multiple")
        return [self._score(yardstick, x) for yardstick in self.yardsticks]

    def _score(self, yardstick: Yardstick, x: Tensor) -> Score:
        found = self._distance(yardstick, x)
        return Score(yardstick.name, found.value, found.low, found.high, self.floor[yardstick.name].value)

    def _floor(self, yardstick: Yardstick) -> Estimate:
        whole = min(len(self.train) // self.count, FLOOR_SETS) * self.count
        return self._distance(yardstick, self.train[:whole])

    def _distance(self, yardstick: Yardstick, x: Tensor) -> Estimate:
        """The mean distance of sets of `count` of the events x to the held-out ones."""

        def mean(rows: Tensor, truth: Tensor) -> float:
            sets = rows.split(self.count)
            return sum(yardstick.distance(part, truth) for part in sets) / len(sets)

        rows = yardstick.rows(x), yardstick.rows(self.held_out)
        return bootstrap(mean, *rows, resamples=RESAMPLES, seed=self.seed)

    def shares(self, x: Tensor) -> Tensor | None:
        """The share of each class among samples, as the classifier sees them; None without one."""
        if self.classifier is None:
            return None
        return class_shares(self.classifier.predict(x), self.classifier.head.out_features)

    def copying(self, x: Tensor) -> Copying:
        """How near samples come to the training events, beside the held-out ones."""
        rows = _flat(x), _flat(self.train), _flat(self.held_out)
        distances, closest = nearest(rows[0], rows[1])
        real, _ = nearest(rows[2], rows[1])
        return Copying(distances, self.train[closest], real, copied_share(*rows))


@dataclass(frozen=True)
class Copying:
    """Distances (N,) of samples to their nearest training events, those events (N, *E), the distances (M,) of held-out
    events, and the share of samples nearer than all but 1% of the held-out ones are."""

    distances: Tensor
    closest: Tensor
    real: Tensor
    copied: float


def _flat(x: Tensor) -> Tensor:
    return torch.flatten(x, 1)
