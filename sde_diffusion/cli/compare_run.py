"""Samplers compared on a trained model: distances to held-out data against evaluations. Imported when measuring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sde_diffusion.cli.generate import Generated, generate
from sde_diffusion.cli.model import Model
from sde_diffusion.cli.sampler_specs import Recipe
from sde_diffusion.evaluation.comparison import Comparison, SamplerResult
from sde_diffusion.evaluation.evaluator import Evaluator

CHUNK = 512
"""The most samples that the network sees at once."""


def at_budgets(recipes: Sequence[Recipe], budgets: Sequence[int]) -> Iterator[Recipe]:
    """Each recipe at each budget of evaluations that it can keep to."""
    for recipe in recipes:
        yield from recipe.at_budgets(budgets)


def tried(recipe: Recipe, model: Model, judge: Evaluator, seed: int) -> tuple[SamplerResult, Generated]:
    """As many samples as the judge holds events, judged."""
    drawn = drawn_for(judge, recipe, model, seed)
    return judged(recipe, drawn, judge), drawn


def drawn_for(
    judge: Evaluator, recipe: Recipe, model: Model, seed: int, sets: int = 1, chunk: int = CHUNK
) -> Generated:
    """As many samples as `sets` times the held-out events, of their classes in their order where the model is told."""
    labels = judge.labels if model.classes is not None else None
    return generate(recipe, model, sets * judge.count, seed, chunk=min(judge.count, chunk), label=labels)


def judged(recipe: Recipe, drawn: Generated, judge: Evaluator) -> SamplerResult:
    """The trial that samples are."""
    scores = judge.scores(drawn.x)
    return SamplerResult(recipe.label, str(recipe), recipe.steps, drawn.evaluations, drawn.seconds, scores)


def comparison(subject: str, trials: Sequence[SamplerResult], judge: Evaluator, seed: int) -> Comparison:
    """The trials with the floor of real data."""
    floors = {name: (estimate.low, estimate.high) for name, estimate in judge.floor.items()}
    return Comparison(subject, judge.count, seed, trials, floors, f"{judge.count} real training events (95%)")
