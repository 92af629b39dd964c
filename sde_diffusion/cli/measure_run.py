"""Samples of a run, drawn or given, measured with every yardstick on one kind of features. Imported when measuring."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sde_diffusion.cli import factories as build
from sde_diffusion.cli.compare_run import drawn_for
from sde_diffusion.cli.model import Model, data_of
from sde_diffusion.cli.sampler_specs import Recipe
from sde_diffusion.evaluation.evaluator import Evaluator
from sde_diffusion.evaluation.metrics import EvaluationMetric, all_metrics
from sde_diffusion.evaluation.metrics_report import REAL, SAMPLES, MetricsReport
from sde_diffusion.metrics.extractors import extracted
from sde_diffusion.specs import Spec, spec, to_text

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.metrics import Estimate


LEAST = 12
"""The fewest samples that are measured: halves of them hold more than five neighbours."""


def evaluator_of(
    model: Model, wanted: Spec | None, count: int, seed: int, chunk: int, told: bool = False
) -> tuple[Evaluator, Spec]:
    """The run's held-out events, at most `count`, with all yardsticks on the features wanted; and what those are.

    Without a wish: the classifier's where the data have classes, else the numbers as they are. ValueError for less than
    `LEAST` events.
    """
    source = data_of(model)
    labelled = len(source.event_shape) == 3 and source.classes is not None
    named = wanted or spec("classifier" if labelled else "pixels")
    fewest = min(count, source.size("held_out"))
    if fewest < LEAST:
        raise ValueError(f"at least {LEAST} samples and held-out events are compared, got {fewest}; give more")

    def yardsticks(judge: Evaluator) -> list[EvaluationMetric]:
        extractor = build.extractor(named, judge.known_classifier)
        rows = partial(extracted, extractor, chunk=chunk, device=model.device)
        return [all_metrics(rows, named["name"] == "classifier")]

    return Evaluator(source, seed, count, model.device, yardsticks, told=told), named


def measured_recipe(
    subject: str, judge: Evaluator, named: Spec, recipe: Recipe, model: Model, chunk: int, sets: int = 1
) -> MetricsReport:
    """`sets` times as many samples as the judge holds events, of their classes where the model is told, measured."""
    drawn = drawn_for(judge, recipe, model, judge.seed, sets, chunk)
    cost = {"evaluations": drawn.evaluations, "seconds": drawn.seconds}
    told = judge.labels if model.classes is not None else None
    accuracy = {} if told is None or judge.classifier is None else _accuracy(judge, drawn.x, told)
    return _measured(subject, judge, named, drawn.x, str(recipe), accuracy, cost)


def measured_samples(subject: str, judge: Evaluator, named: Spec, x: Tensor, words: str) -> MetricsReport:
    """Samples that were drawn elsewhere, measured; their number is that of the judge's events."""
    return _measured(subject, judge, named, x, words, {}, {})


def _accuracy(judge: Evaluator, x: Tensor, labels: Tensor) -> dict[str, Estimate]:
    return {
        SAMPLES: judge.accuracy(x, labels.repeat(len(x) // len(labels))),
        REAL: judge.accuracy(judge.held_out, labels),
    }


def _measured(
    subject: str,
    judge: Evaluator,
    named: Spec,
    x: Tensor,
    words: str,
    accuracy: dict[str, Estimate],
    cost: dict[str, float],
) -> MetricsReport:
    return MetricsReport(
        subject,
        words,
        to_text(named),
        judge.count,
        judge.sets,
        judge.seed,
        judge.scores(x),
        judge.floor,
        accuracy,
        cost,
    )
