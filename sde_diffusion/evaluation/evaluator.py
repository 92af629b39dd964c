"""How good samples of a data set are: distances to held-out data, beside the same distances of real training data.

A distance between finite sets is too large by an amount that depends on their sizes. So the distance of generated samples
means something only beside the *real-data baseline*, the same distance of equally many real training examples, and as the
ratio of the two. Images are compared by their pixels and by the features of a classifier, points by their coordinates. The
classifier is trained on real examples that are in no compared set: on examples it has learnt, its features have another
distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sde_diffusion.data import DataSource
from sde_diffusion.evaluation.columns import in_units_of_columns
from sde_diffusion.evaluation.comparison import Score
from sde_diffusion.evaluation.matching import matched_rows
from sde_diffusion.evaluation.metrics import UNBIASED, EvaluationMetric, distance, flat
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
from sde_diffusion.training.devices import device_of

MAX_HELD_OUT = 1000
"""The largest number of held-out examples that samples are compared with, unless more are asked for."""

BASELINE_SETS = 4
"""The largest number of sets of real training examples in the baseline. A metric on the classifier's features takes sets from
about half of the training examples only, because the classifier is trained on the others."""


def default_metrics(evaluator: Evaluator) -> list[EvaluationMetric]:
    """Sliced Wasserstein for points, its columns in units of their deviation where they have names or conditions; for images
    Frechet distances of pixels and, with labels, of classifier features."""
    if of_columns(evaluator.source):
        return [distance("sliced W2 of scaled columns", in_units_of_columns(evaluator.train), sliced_wasserstein)]
    if len(evaluator.source.event_shape) != 3:
        return [distance("sliced W2", flat, sliced_wasserstein)]
    pixels = [distance("Frechet, pixels", flat, frechet)]
    if evaluator.classifier is None:
        return pixels
    return [*pixels, distance("Frechet, features", evaluator.features, frechet, learned=True)]


def of_columns(source: DataSource) -> bool:
    """Whether a sample is a row of columns with units of their own."""
    with_conditions = source.condition_names is not None and len(source.event_shape) == 1
    return source.column_names is not None or with_conditions


class Evaluator:
    """Compares samples with the held-out examples of a data set, by a list of metrics.

    Args:
        source: the data; its held-out part is what samples are compared with.
        seed: of the classifier and of the resampling.
        max_held_out: at most so many held-out examples are used.
        device: where the classifier runs.
        metrics: a function that takes this evaluator (its classifier, its device) and returns the metrics.
        conditional: the samples will have the held-out examples' own classes, in order. Then the baseline has them too:
            equal class shares make a distance smaller, and that is no merit of a model.
        given: the samples will have the held-out examples' own conditions, in order. Then the baseline has nearly the same
            ones, see `matching`, and rows (N, D) are compared together with their conditions, as rows (N, D + K).

        classifier_steps: of the classifier's training.

    Raises:
        ValueError: fewer than 4 held-out examples, or more than half of the data held out; `conditional` without labels,
            `given` without conditions.
    """

    def __init__(
        self,
        source: DataSource,
        seed: int = 0,
        max_held_out: int = MAX_HELD_OUT,
        device: torch.device | str = "auto",
        metrics: Callable[[Evaluator], list[EvaluationMetric]] = default_metrics,
        conditional: bool = False,
        given: bool = False,
        classifier_steps: int = 500,
    ) -> None:
        self.source, self.seed, self.device = source, seed, device_of(device)
        self.classifier_steps = classifier_steps
        held_out, labels = source.tensors("held_out")
        self.held_out, self.labels = held_out[:max_held_out], None if labels is None else labels[:max_held_out]
        self.train, self.train_labels = source.tensors("train")
        self.count = len(self.held_out)
        self.condition, train_condition = self._conditions() if given else (None, None)
        if self.count < 4 or len(self.train) < self.count:
            raise ValueError(
                f"{self.count} held-out and {len(self.train)} training examples are too few to compare with; hold out at "
                "least 4, and at most half of the data"
            )
        self.baseline_sets = min(BASELINE_SETS, len(self.train) // self.count)
        self.baseline_rows = self._baseline_rows(conditional, train_condition)
        self.held_out = self.with_condition(self.held_out)
        self.train = self.with_condition(self.train, train_condition)
        unseen = min(self.baseline_sets, max(1, round(len(self.train) / 2 / self.count)))
        self.rows_unseen_by_classifier = self.baseline_rows[: self.count * unseen]
        self.metrics = metrics(self)

    def _conditions(self) -> tuple[Tensor, Tensor]:
        """The conditions of the held-out examples (count, K), and of the training's (N, K)."""
        found = [
            self.source.condition_rows(torch.arange(size), split)
            for split, size in (("held_out", self.count), ("train", len(self.train)))
        ]
        if found[0] is None or found[1] is None:
            raise ValueError(
                "samples under given conditions are compared with real data of these, and the data have none"
            )
        return found[0], found[1]

    def with_condition(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Rows (k count, D) as (k count, D + K) with the held-out examples' conditions, or with `condition`.

        Without conditions, and for samples of another shape, x itself.
        """
        if self.condition is None or x.ndim != 2:
            return x
        given = self.condition.repeat(len(x) // self.count, 1) if condition is None else condition
        return torch.cat([x, given.to(x)], dim=1)

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """The names of the columns that are compared, those of the condition last; None for data without names."""
        names = self.source.column_names
        return names if names is None or self.condition is None else (*names, *(self.source.condition_names or ()))

    def _baseline_rows(self, conditional: bool, condition: Tensor | None) -> Tensor:
        """Rows of training examples, set after set."""
        if self.condition is not None and condition is not None:
            labels = (self.labels, self.train_labels) if conditional else (None, None)
            found = matched_rows(self.condition, condition, self.baseline_sets, *labels)
            self.baseline_sets = len(found)
            return found.flatten()
        return self._rows_of_held_out_classes() if conditional else torch.arange(self.baseline_sets * self.count)

    def _rows_of_held_out_classes(self) -> Tensor:
        """Rows of training examples, set after set, each set with the held-out examples' classes.

        There are fewer sets where a class is rare. ValueError for data without labels, or with more held-out than training
        examples of a class.
        """
        if self.labels is None or self.train_labels is None:
            raise ValueError(
                "samples of given classes are compared with real data of these, and the data have no labels"
            )
        rows, counts = {}, torch.bincount(self.labels).tolist()
        for k, wanted in enumerate(counts):
            rows[k] = (self.train_labels == k).nonzero()[:, 0]
            if len(rows[k]) < wanted:
                raise ValueError(
                    f"class {k} has {wanted} held-out and {len(rows[k])} training examples; hold out fewer"
                )
            self.baseline_sets = min(self.baseline_sets, len(rows[k]) // wanted) if wanted else self.baseline_sets
        sets = [[rows[k][n * c : (n + 1) * c] for k, c in enumerate(counts)] for n in range(self.baseline_sets)]
        return torch.cat([torch.cat(one) for one in sets])

    @cached_property
    def classifier(self) -> Classifier | None:
        """Trained on the real images that no baseline set in its features contains.

        None for data that are no images or have no labels, and where the baseline needs all of them.
        """
        spare = torch.ones(len(self.train), dtype=torch.bool)
        spare[self.rows_unseen_by_classifier] = False
        x, classes = self.train[spare], self.source.classes
        if len(self.source.event_shape) != 3 or self.train_labels is None or classes is None or not len(x):
            return None
        labels = self.train_labels[spare].to(self.device)
        return train_classifier(x.to(self.device), labels, classes, self.classifier_steps, seed=self.seed)

    def known_classifier(self) -> Classifier:
        """The classifier; ValueError where there is none."""
        if self.classifier is None:
            raise ValueError(
                "a classifier needs labelled images that are in no compared set, and these data have none; take the "
                "extractor 'pixels'"
            )
        return self.classifier

    def features(self, x: Tensor) -> Tensor:
        """The classifier's features (N, D) of images (N, *E), on the device; ValueError where there is no classifier."""
        return self.known_classifier().features(x.to(self.device))

    def predict(self, x: Tensor) -> Tensor:
        """The classifier's labels (N,) of images, on the CPU; ValueError where there is no classifier."""
        return self.known_classifier().predict(x.to(self.device)).cpu()

    @cached_property
    def real_baseline(self) -> dict[str, Estimate]:
        """Each metric of `count` real training examples against the held-out ones: the mean over disjoint sets."""
        found: dict[str, Estimate] = {}
        for metric, reference in zip(self.metrics, self._held_out_rows, strict=True):
            real = self.train[self.rows_unseen_by_classifier if metric.learned else self.baseline_rows]
            found |= self._measure(metric, reference, real)
        return found

    def estimates(self, x: Tensor) -> dict[str, Estimate]:
        """Each metric of x (k count, *E) against the held-out examples, the mean over k sets of `count`, by its name.

        The intervals cover other samples and other held-out examples alike. ValueError where len(x) is no multiple of
        `count`: the baseline is that of sets of `count`.
        """
        if len(x) == 0 or len(x) % self.count:
            raise ValueError(
                f"the real-data baseline is that of {self.count} examples, got {len(x)} samples; draw a multiple"
            )
        found: dict[str, Estimate] = {}
        for metric, reference in zip(self.metrics, self._held_out_rows, strict=True):
            found |= self._measure(metric, reference, x)
        return found

    def _measure(self, metric: EvaluationMetric, reference: Tensor, x: Tensor) -> dict[str, Estimate]:
        return metric.measure(metric.rows(x), reference, len(x) // self.count, self.seed)

    @cached_property
    def _held_out_rows(self) -> list[Tensor]:
        """The held-out examples' features, for each metric."""
        return [metric.rows(self.held_out) for metric in self.metrics]

    def scores(self, x: Tensor) -> list[Score]:
        """The estimates of x beside the real-data baseline."""
        return [
            Score(name, one.value, one.low, one.high, self.real_baseline[name].value, name in UNBIASED)
            for name, one in self.estimates(x).items()
        ]

    def accuracy(self, x: Tensor, labels: Tensor) -> Estimate:
        """The share of images whose label (N,) the classifier finds, with Wilson's interval."""
        right = float((self.predict(x) == labels.cpu()).double().mean())
        return from_share(right, len(x), len(x))

    def shares(self, x: Tensor) -> Tensor | None:
        """The share of each class among samples, by the classifier's labels: (classes,); None without a classifier."""
        if self.classifier is None:
            return None
        return class_shares(self.predict(x), self.classifier.head.out_features)

    def copying(self, x: Tensor) -> Copying:
        """How near samples come to the training examples, beside the held-out ones."""
        samples, train, held_out = flat(x), flat(self.train), flat(self.held_out)
        distances, closest = nearest(samples, train)
        held_out_distances, _ = nearest(held_out, train)
        return Copying(distances, self.train[closest], held_out_distances, copied_share(samples, train, held_out))


@dataclass(frozen=True)
class Copying:
    """How near samples come to the training examples.

    Attributes:
        distances: (N,), Euclidean, from each sample to its nearest training example.
        closest: (N, *E), those training examples.
        held_out_distances: (M,), the same of the held-out examples.
        memorisation_rate: the share of samples that are nearer to a training example than all but 1% of the held-out ones.
    """

    distances: Tensor
    closest: Tensor
    held_out_distances: Tensor
    memorisation_rate: float
