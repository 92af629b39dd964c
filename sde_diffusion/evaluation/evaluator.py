"""How good samples of a data set are: distances to held-out data, beside those of as many real events.

A distance of finite samples is too large by an amount that depends on their number, so a distance of generated events
means something only beside `floor`, the same distance of equally many real training events, and as their ratio.
Pictures are compared as they are and by the features of a classifier; points of the plane as they are. The classifier
learns from real events that are compared with nothing: on those it has learnt, its features are of another law.
Imported only when a command measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sde_diffusion.data import DataSource
from sde_diffusion.evaluation.comparison import Score
from sde_diffusion.evaluation.metrics import (
    UNBIASED,
    EvaluationMetric,
    distance,
    flat,
)
from sde_diffusion.metrics import (
    Classifier,
    Estimate,
    class_shares,
    copied_share,
    frechet,
    from_share,
    nearest,
    sliced_wasserstein,
    train_classifier,
)

MAX_HELD_OUT = 1000
"""The most held-out events that are compared with, unless more are asked for."""

BASELINE_SETS = 4
"""The most sets of real training events that the floor is a mean over; in features that a classifier has learnt, those of
about half of the training events, for it learns from the rest."""


def default_metrics(judge: Evaluator) -> list[EvaluationMetric]:
    """The distances that suit the events: one for points, for pictures one of pixels and one of features."""
    if len(judge.source.event_shape) != 3:
        return [distance("sliced W2", flat, sliced_wasserstein)]
    pixels = [distance("Frechet, pixels", flat, frechet)]
    if judge.classifier is None:
        return pixels
    return [*pixels, distance("Frechet, features", judge.features, frechet, learned=True)]


class Evaluator:
    """The held-out events of a data set, at most `most` of them, and the yardsticks that are laid to samples.

    `yardsticks` is a function of the judge, whose classifier and device they may use. With `told`, the samples will be of
    the held-out events' own classes, and so are the real events of the floor: shares of classes that are equal by
    construction make a distance smaller, which is no merit of a model.
    """

    def __init__(
        self,
        source: DataSource,
        seed: int = 0,
        most: int = MAX_HELD_OUT,
        device: torch.device | str = "cpu",
        yardsticks: Callable[[Evaluator], list[EvaluationMetric]] = default_metrics,
        told: bool = False,
    ) -> None:
        self.source, self.seed, self.device = source, seed, device
        held_out, train = source.tensors("held_out"), source.tensors("train")
        self.held_out, self.labels = held_out[0][:most], None if held_out[1] is None else held_out[1][:most]
        self.train, self.train_labels = train
        self.count = len(self.held_out)
        if self.count < 4 or len(self.train) < self.count:
            raise ValueError(
                f"{self.count} held-out and {len(self.train)} training events are too few to compare with; hold out at "
                "least 4, and at most half of the data"
            )
        self.sets = min(BASELINE_SETS, len(self.train) // self.count)
        self.of_floor = self._like_held_out() if told else torch.arange(self.sets * self.count)
        self.unlearnt = self.of_floor[: self.count * min(self.sets, max(1, round(len(self.train) / 2 / self.count)))]
        self.yardsticks = yardsticks(self)

    def _like_held_out(self) -> Tensor:
        """Rows of training events, set after set, each of the held-out events' classes; fewer sets where a class is rare.

        ValueError for data without labels, or with more held-out than training events of a class.
        """
        if self.labels is None or self.train_labels is None:
            raise ValueError(
                "events of given classes are compared with real ones of these, and the data have no labels"
            )
        rows, counts = {}, torch.bincount(self.labels)
        for k, wanted in enumerate(counts.tolist()):
            rows[k] = (self.train_labels == k).nonzero()[:, 0]
            if len(rows[k]) < wanted:
                raise ValueError(f"class {k} has {wanted} held-out and {len(rows[k])} training events; hold out fewer")
            self.sets = min(self.sets, len(rows[k]) // wanted) if wanted else self.sets
        parts = [[rows[k][n * c : (n + 1) * c] for k, c in enumerate(counts.tolist())] for n in range(self.sets)]
        return torch.cat([torch.cat(part) for part in parts])

    @cached_property
    def classifier(self) -> Classifier | None:
        """Trained on the real pictures that are in no set of the floor in its features.

        None for events that are no pictures or have no labels, and where the floor needs them all.
        """
        spare = torch.ones(len(self.train), dtype=torch.bool)
        spare[self.unlearnt] = False
        x, classes = self.train[spare], self.source.classes
        if len(self.source.event_shape) != 3 or self.train_labels is None or classes is None or not len(x):
            return None
        labels = self.train_labels[spare].to(self.device)
        return train_classifier(x.to(self.device), labels, classes, seed=self.seed)

    def features(self, x: Tensor) -> Tensor:
        """The classifier's features of events (N, *E), (N, D) on the device; ValueError where there is no classifier."""
        return self.known_classifier().features(x.to(self.device))

    def predict(self, x: Tensor) -> Tensor:
        """The classifier's labels of events, (N,) on the CPU; ValueError where there is no classifier."""
        return self.known_classifier().predict(x.to(self.device)).cpu()

    def known_classifier(self) -> Classifier:
        """The classifier; ValueError where there is none."""
        if self.classifier is None:
            raise ValueError(
                "a classifier learns from labelled pictures that are compared with nothing, and these data have none; "
                "take the pixels"
            )
        return self.classifier

    @cached_property
    def floor(self) -> dict[str, Estimate]:
        """Each measure of `count` real training events and the held-out ones: the mean over disjoint sets of them."""
        found: dict[str, Estimate] = {}
        for yardstick, truth in zip(self.yardsticks, self._truths, strict=True):
            found |= self._measured(yardstick, truth, self.train[self.unlearnt if yardstick.learned else self.of_floor])
        return found

    def _measured(self, yardstick: EvaluationMetric, truth: Tensor, x: Tensor) -> dict[str, Estimate]:
        return yardstick.measure(yardstick.rows(x), truth, len(x) // self.count, self.seed)

    def estimates(self, x: Tensor) -> dict[str, Estimate]:
        """Each measure of x (k count, *E) and the held-out events, the mean over k sets of `count`, by its name.

        The intervals are of other samples and other held-out events alike. ValueError for any other number of samples:
        the floor could not be held against their distance.
        """
        if len(x) == 0 or len(x) % self.count:
            raise ValueError(f"the floor is that of {self.count} events, got {len(x)} samples; draw a multiple")
        found: dict[str, Estimate] = {}
        for yardstick, truth in zip(self.yardsticks, self._truths, strict=True):
            found |= self._measured(yardstick, truth, x)
        return found

    @cached_property
    def _truths(self) -> list[Tensor]:
        """The rows of the held-out events, for each yardstick."""
        return [yardstick.rows(self.held_out) for yardstick in self.yardsticks]

    def scores(self, x: Tensor) -> list[Score]:
        """The same beside the floor."""
        return [
            Score(name, one.value, one.low, one.high, self.floor[name].value, name in UNBIASED)
            for name, one in self.estimates(x).items()
        ]

    def accuracy(self, x: Tensor, labels: Tensor) -> Estimate:
        """The share of events whose label (N,) the classifier finds, with Wilson's interval for as many coin flips."""
        right = float((self.predict(x) == labels.cpu()).double().mean())
        return from_share(right, len(x), len(x))

    def shares(self, x: Tensor) -> Tensor | None:
        """The share of each class among samples, as the classifier sees them; None without one."""
        if self.classifier is None:
            return None
        return class_shares(self.predict(x), self.classifier.head.out_features)

    def copying(self, x: Tensor) -> Copying:
        """How near samples come to the training events, beside the held-out ones."""
        rows = flat(x), flat(self.train), flat(self.held_out)
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
