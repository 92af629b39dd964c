"""Samplers compared on a trained model: distances to held-out data against evaluations. Imported when measuring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sde_diffusion.cli.drawing import Drawn, draw
from sde_diffusion.cli.model import Model
from sde_diffusion.cli.samplers import Recipe
from sde_diffusion.report.comparison import Comparison, Trial
from sde_diffusion.report.judge import Judge

CHUNK = 512
"""The most samples that the network sees at once."""


def at_budgets(recipes: Sequence[Recipe], budgets: Sequence[int]) -> Iterator[Recipe]:
    """Each recipe at each budget of evaluations that it can keep to."""
    for recipe in recipes:
        yield from recipe.at_budgets(budgets)


def tried(recipe: Recipe, model: Model, judge: Judge, seed: int) -> tuple[Trial, Drawn]:
    """As many samples as the judge holds events, judged."""
    drawn = drawn_for(judge, recipe, model, seed)
    return judged(recipe, drawn, judge), drawn


def drawn_for(judge: Judge, recipe: Recipe, model: Model, seed: int, sets: int = 1, chunk: int = CHUNK) -> Drawn:
    """As many samples as `sets` times the held-out events, of their classes in their order where the model is told."""
    labels = judge.labels if model.classes is not None else None
    return draw(recipe, model, sets * judge.count, seed, chunk=min(judge.count, chunk), label=labels)


def judged(recipe: Recipe, drawn: Drawn, judge: Judge) -> Trial:
    """The trial that samples are."""
    scores = judge.scores(drawn.x)
    return Trial(recipe.label, str(recipe), recipe.steps, drawn.evaluations, drawn.seconds, scores)


def comparison(subject: str, trials: Sequence[Trial], judge: Judge, seed: int) -> Comparison:
    """The trials with the floor of real data."""
    floors = {name: (estimate.low, estimate.high) for name, estimate in judge.floor.items()}
    return Comparison(subject, judge.count, seed, trials, floors, f"{judge.count} real training events (95%)")
