"""All that a run's report measures, once: samples of each sampler, their distances, classes and nearest neighbours.

Imported only when a command measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sde_diffusion.cli.compare_run import at_budgets, comparison, drawn_for, judged, tried
from sde_diffusion.cli.generate import Generated
from sde_diffusion.cli.model import Model
from sde_diffusion.cli.sampler_specs import Recipe
from sde_diffusion.data import DataSource
from sde_diffusion.evaluation.comparison import Comparison, SamplerResult
from sde_diffusion.evaluation.evaluator import Copying, Evaluator
from sde_diffusion.io.terminal import progress_bar
from sde_diffusion.metrics import class_shares

if TYPE_CHECKING:
    from torch import Tensor

SETS = 2
"""How many sets of samples, each as large as the held-out set, the distances of a report are a mean over."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        judge: the held-out data and the yardsticks.
        drawn: each sampler's samples at its own number of steps, by label.
        trials: their scores.
        sweep: the same samplers at several costs.
        shares: the share of each class in each set; empty for data without labels.
        copying: each sampler's nearest training events.
    """

    judge: Evaluator
    drawn: dict[str, Generated]
    trials: list[SamplerResult]
    sweep: Comparison
    shares: dict[str, Tensor]
    copying: dict[str, Copying]

    @property
    def best(self) -> SamplerResult:
        """The trial whose worst ratio to the floor is smallest."""
        return min(self.trials, key=lambda trial: worst_ratio(trial))


def worst_ratio(trial: SamplerResult) -> float:
    """The largest of the ratios to the floor."""
    return max(score.ratio for score in trial.scores if score.ratio is not None)


def evaluate(
    subject: str, model: Model, source: DataSource, recipes: Sequence[Recipe], budgets: Sequence[int], seed: int
) -> Evaluation:
    """Samples of each recipe, `SETS` times as many as held-out events, and at the budgets once as many, all judged."""
    judge = Evaluator(source, seed, told=model.classes is not None)
    drawn = {recipe.label: drawn_for(judge, recipe, model, seed, SETS) for recipe in progress_bar(recipes, "samplers")}
    trials = [judged(recipe, drawn[recipe.label], judge) for recipe in recipes]
    cheaper = list(at_budgets(recipes, budgets))
    swept = [tried(recipe, model, judge, seed)[0] for recipe in progress_bar(cheaper, "budgets")]
    whole = comparison(subject, [*swept, *trials], judge, seed)
    copying = {label: judge.copying(one.x) for label, one in drawn.items()}
    return Evaluation(judge, drawn, trials, whole, _shares(judge, drawn), copying)


def _shares(judge: Evaluator, drawn: dict[str, Generated]) -> dict[str, Tensor]:
    """The shares of the classes among the held-out events (by their labels) and among each sampler's samples."""
    if judge.classifier is None or judge.labels is None or judge.source.classes is None:
        return {}
    real = class_shares(judge.labels, judge.source.classes)
    found = {label: judge.shares(one.x) for label, one in drawn.items()}
    return {"held out": real, **{label: shares for label, shares in found.items() if shares is not None}}
