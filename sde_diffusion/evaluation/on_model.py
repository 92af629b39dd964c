"""A trained model's samples measured: samplers side by side, and one sampler by every metric.

comparison = compare(model, source, samplers, budgets=[8, 16, 32])     # distance against cost
report = evaluate(model, source, sampler)                              # every metric, with intervals and baseline
found = survey(model, source, samplers, budgets)                       # all that a run's report shows
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data import DataSource
from sde_diffusion.evaluation.columns import ColumnReport, in_units_of_columns
from sde_diffusion.evaluation.comparison import Comparison, SamplerResult
from sde_diffusion.evaluation.evaluator import MAX_HELD_OUT, Copying, Evaluator, of_columns
from sde_diffusion.evaluation.generate import Generated, at_budgets, samples_of
from sde_diffusion.evaluation.metrics import EvaluationMetric, all_metrics
from sde_diffusion.evaluation.metrics_report import REAL, SAMPLES, MetricsReport
from sde_diffusion.io.terminal import progress_bar
from sde_diffusion.metrics import Estimate, Extractor, class_shares, pixels
from sde_diffusion.metrics.extractors import extracted
from sde_diffusion.model import DiffusionModel
from sde_diffusion.sampling.sampler import Sampler

CHUNK = 512
"""The most samples in one call of the network."""

SETS = 2
"""How many sets of samples, each as large as the held-out set, the distances of a report are a mean over."""

LEAST = 12
"""The fewest samples that all metrics are computed of: halves of them must hold more than five neighbours."""


@dataclass(frozen=True)
class FeatureSpace:
    """In which features samples are compared: `extractor(evaluator)` makes them; `learned` if the data's classifier does."""

    name: str
    extractor: Callable[[Evaluator], Extractor]
    learned: bool = False


def default_features(source: DataSource) -> FeatureSpace:
    """The classifier's features for labelled images, columns in units of their deviation for tables, the
    numbers themselves for all other data."""
    if len(source.event_shape) == 3 and source.classes is not None:
        return FeatureSpace("classifier", lambda evaluator: evaluator.known_classifier().features, learned=True)
    if of_columns(source):
        return FeatureSpace("scaled_columns", lambda evaluator: in_units_of_columns(evaluator.train))
    return FeatureSpace("pixels", lambda _: pixels())


def compare(
    model: DiffusionModel,
    source: DataSource,
    samplers: Sequence[Sampler],
    budgets: Sequence[int] = (8, 16, 32, 64, 128),
    seed: int = 0,
    subject: str = "model",
) -> Comparison:
    """Each sampler at each budget of network evaluations: its distances to the held-out data of `source`.

    Raises ValueError for data too few to compare with.
    """
    evaluator = Evaluator(source, seed, **asked_of(model))
    runs = progress_bar(at_budgets(samplers, budgets), "samplers")
    results = [scored(one, generated_for(evaluator, one, model, seed), evaluator) for one in runs]
    return comparison(subject, results, evaluator, seed)


def generated_for(
    evaluator: Evaluator, sampler: Sampler, model: DiffusionModel, seed: int, sets: int = 1, chunk: int = CHUNK
) -> Generated:
    """`sets` times as many samples as held-out examples; a conditional model gets the held-out examples' classes, and their
    conditions, which stand beside the samples of tables."""
    labels = evaluator.labels if model.classes is not None else None
    given, size = {"label": labels, "condition": evaluator.condition}, min(evaluator.count, chunk)
    found = samples_of(model, sampler, sets * evaluator.count, seed, chunk=size, **given)
    return replace(found, x=evaluator.with_condition(found.x))


def asked_of(model: DiffusionModel) -> dict[str, Any]:
    """What an `Evaluator` must know of what a model is asked for: classes, conditions."""
    return {"conditional": model.classes is not None, "given": model.condition_columns is not None}


def scored(sampler: Sampler, generated: Generated, evaluator: Evaluator) -> SamplerResult:
    """The samples' scores and cost."""
    scores = evaluator.scores(generated.x)
    return SamplerResult(sampler.label, str(sampler), sampler.steps, generated.evaluations, generated.seconds, scores)


def comparison(subject: str, results: Sequence[SamplerResult], evaluator: Evaluator, seed: int) -> Comparison:
    """The results with the real-data baseline."""
    baselines = {name: (estimate.low, estimate.high) for name, estimate in evaluator.real_baseline.items()}
    return Comparison(
        subject, evaluator.count, seed, results, baselines, f"{evaluator.count} real training examples (95%)"
    )


def evaluator_for(
    source: DataSource,
    features: FeatureSpace | None = None,
    max_held_out: int = MAX_HELD_OUT,
    seed: int = 0,
    chunk: int = CHUNK,
    device: torch.device | str = "auto",
    conditional: bool = False,
    given: bool = False,
    classifier_steps: int = 500,
) -> Evaluator:
    """An evaluator with every metric on one kind of features; ValueError for fewer than `LEAST` examples."""
    space = features or default_features(source)
    fewest = min(max_held_out, source.size("held_out"))
    if fewest < LEAST:
        raise ValueError(f"at least {LEAST} samples and held-out examples are compared, got {fewest}; give more")

    def metrics(evaluator: Evaluator) -> list[EvaluationMetric]:
        rows = partial(extracted, space.extractor(evaluator), chunk=chunk, device=evaluator.device)
        return [all_metrics(rows, space.learned)]

    return Evaluator(source, seed, max_held_out, device, metrics, conditional, given, classifier_steps)


def evaluate(
    model: DiffusionModel,
    source: DataSource,
    sampler: Sampler,
    features: FeatureSpace | None = None,
    *,
    max_held_out: int = MAX_HELD_OUT,
    sets: int = 1,
    seed: int = 0,
    chunk: int = CHUNK,
    subject: str = "model",
) -> MetricsReport:
    """Every metric of `sets` times as many samples as held-out examples (at most `max_held_out`).

    A conditional model is asked for the held-out examples' classes and conditions, and its class accuracy is measured.
    """
    space = features or default_features(source)
    evaluator = evaluator_for(source, space, max_held_out, seed, chunk, model.device, **asked_of(model))
    return evaluate_sampler(evaluator, model, sampler, space.name, subject, sets, chunk)


def evaluate_sampler(
    evaluator: Evaluator, model: DiffusionModel, sampler: Sampler, features: str, subject: str, sets: int, chunk: int
) -> MetricsReport:
    """Every metric of the evaluator of a sampler's samples, with their cost and class accuracy."""
    generated = generated_for(evaluator, sampler, model, evaluator.seed, sets, chunk)
    cost = {"evaluations": generated.evaluations, "seconds": generated.seconds}
    labels = evaluator.labels if model.classes is not None else None
    accuracy = {} if labels is None or evaluator.classifier is None else _accuracy(evaluator, generated.x, labels)
    return _report(evaluator, generated.x, features, subject, str(sampler), accuracy, cost)


def evaluate_samples(evaluator: Evaluator, x: Tensor, features: str, subject: str, samples: str) -> MetricsReport:
    """Every metric of given samples x, a multiple of the evaluator's `count`; `samples` says where they come from."""
    return _report(evaluator, x, features, subject, samples, {}, {})


def _report(
    evaluator: Evaluator,
    x: Tensor,
    features: str,
    subject: str,
    samples: str,
    accuracy: dict[str, Estimate],
    cost: dict[str, float],
) -> MetricsReport:
    return MetricsReport(
        subject, samples, features, evaluator.count, evaluator.baseline_sets, evaluator.seed, evaluator.scores(x),
        evaluator.real_baseline, accuracy, cost, _columns(evaluator, x),
    )  # fmt: skip


def _columns(evaluator: Evaluator, x: Tensor) -> ColumnReport | None:
    """The columns of a table with names; None for other data."""
    names, real = evaluator.column_names, evaluator.train[evaluator.baseline_rows]
    given = 0 if evaluator.condition is None else evaluator.condition.shape[1]
    return None if names is None else ColumnReport.of(names, x, evaluator.held_out, real, given)


def _accuracy(evaluator: Evaluator, x: Tensor, labels: Tensor) -> dict[str, Estimate]:
    return {
        SAMPLES: evaluator.accuracy(x, labels.repeat(len(x) // len(labels))),
        REAL: evaluator.accuracy(evaluator.held_out, labels),
    }


@dataclass(frozen=True)
class Survey:
    """All that a run's report shows, measured once.

    Attributes:
        evaluator: the held-out data and the metrics.
        generated: each sampler's samples at its own number of steps, by label.
        results: their scores.
        sweep: the same samplers at several costs.
        shares: the share of each class in each set; empty for data without labels.
        copying: each sampler's nearest training examples.
    """

    evaluator: Evaluator
    generated: dict[str, Generated]
    results: list[SamplerResult]
    sweep: Comparison
    shares: dict[str, Tensor]
    copying: dict[str, Copying]

    @property
    def best(self) -> SamplerResult:
        """The result whose worst ratio to the real-data baseline is smallest."""
        return min(self.results, key=lambda result: result.worst_ratio)

    @property
    def recommended(self) -> SamplerResult:
        """The cheapest of the results that cannot be distinguished from the best one (see `ties_with_best`)."""
        return min(self.ties_with_best, key=lambda result: (result.evaluations, result.worst_ratio))

    @property
    def ties_with_best(self) -> list[SamplerResult]:
        """The best result and all whose interval overlaps its interval in every score."""
        return [result for result in self.results if result is self.best or result.overlaps(self.best)]


def survey(
    model: DiffusionModel,
    source: DataSource,
    samplers: Sequence[Sampler],
    budgets: Sequence[int],
    seed: int = 0,
    subject: str = "model",
) -> Survey:
    """Samples of each sampler at its own steps (`SETS` times as many as held-out examples) and at each budget (once)."""
    evaluator = Evaluator(source, seed, **asked_of(model))
    generated = {
        one.label: generated_for(evaluator, one, model, seed, SETS) for one in progress_bar(samplers, "samplers")
    }
    results = [scored(one, generated[one.label], evaluator) for one in samplers]
    cheaper = progress_bar(at_budgets(samplers, budgets), "budgets")
    swept = [scored(one, generated_for(evaluator, one, model, seed), evaluator) for one in cheaper]
    whole = comparison(subject, [*swept, *results], evaluator, seed)
    copying = {label: evaluator.copying(one.x) for label, one in generated.items()}
    return Survey(evaluator, generated, results, whole, _shares(evaluator, generated), copying)


def _shares(evaluator: Evaluator, generated: dict[str, Generated]) -> dict[str, Tensor]:
    """The share of each class among the held-out examples (by their labels) and among each sampler's samples."""
    if evaluator.classifier is None or evaluator.labels is None or evaluator.source.classes is None:
        return {}
    real = class_shares(evaluator.labels, evaluator.source.classes)
    found = {label: evaluator.shares(one.x) for label, one in generated.items()}
    return {"held out": real, **{label: shares for label, shares in found.items() if shares is not None}}
