"""Samples of a model by a recipe, with what they cost: evaluations counted, not declared, and seconds measured."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sde_diffusion.cli.samplers import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.cli.model import Model


@dataclass(frozen=True)
class Drawn:
    """Samples (N, *E) on the CPU, the network's evaluations for each sample, and the seconds of all."""

    x: Tensor
    evaluations: float
    seconds: float


def draw(
    recipe: Recipe, model: Model, count: int, seed: int, chunk: int = 256, label: int | None = None, first: int = 0
) -> Drawn:
    """Samples `first` .. `first + count - 1` by the recipe, all of one class when `label` is given, behind a bar.

    Sample i is the same whatever the count, for one size of the chunks in which the network sees them.
    """
    import torch
    from tqdm import tqdm

    from sde_diffusion.report.counting import Counting
    from sde_diffusion.report.recipe import paths_for
    from sde_diffusion.sampling import sample_chunks

    counted = Counting(model.denoiser, **({} if label is None else {"label": label}))
    reversal, solver = recipe.assembled(model.sde, counted)
    reversal, shape = reversal.starting_from(model.prior), (count, *model.facts.event_shape)
    start = time.perf_counter()
    how = {"noise": paths_for(solver), "chunk": chunk, "device": model.device}
    chunks = sample_chunks(reversal, solver, shape, seed, first=first, **how)
    bar = tqdm(chunks, recipe.label, math.ceil(count / chunk), unit="chunk", disable=None, leave=False)
    parts = [part.cpu() for part in bar]
    return Drawn(torch.cat(parts), counted.rows / (len(parts) * chunk), time.perf_counter() - start)
