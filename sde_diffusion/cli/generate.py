"""Samples of a model by a recipe, with what they cost: evaluations counted, not declared, and seconds measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.sampler_specs import Recipe
from sde_diffusion.io.terminal import progress_bar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sde_diffusion.cli.model import Model


@dataclass(frozen=True)
class Generated:
    """Samples (N, *E) on the CPU, the network's evaluations for each sample, and the seconds of all."""

    x: Tensor
    evaluations: float
    seconds: float


def generate(
    recipe: Recipe, model: Model, count: int, seed: int, chunk: int = 256, label: int | Tensor | None = None
) -> Generated:
    """`count` samples by the recipe, all of one class `label`, or sample i of the class label[i mod K] for labels (K,).

    Sample i is the same whatever the count, for one size of the chunks in which the network sees them. A bar shows the
    chunks on a terminal. ValueError for several labels and a solver with steps for each sample, which asks about a part
    of a chunk.
    """
    import torch

    start, rows, parts = time.perf_counter(), 0, []
    for begin in progress_bar(range(0, count, chunk), recipe.label, "chunk"):
        part, asked = generate_chunk(recipe, model, begin, min(chunk, count - begin), seed, chunk, label)
        parts.append(part)
        rows += asked
    return Generated(torch.cat(parts), rows / (len(parts) * chunk), time.perf_counter() - start)


def generate_chunk(
    recipe: Recipe, model: Model, begin: int, count: int, seed: int, chunk: int, label: int | Tensor | None
) -> tuple[Tensor, int]:
    """Samples begin .. begin + count - 1, on the CPU, and of how many events the network was asked for them.

    They are of one chunk: `begin` is a multiple of its size, and `count` at most that.
    """
    from sde_diffusion.denoisers.conditioned import Conditioned
    from sde_diffusion.denoisers.counting import CallCounter
    from sde_diffusion.evaluation.recipe import paths_for
    from sde_diffusion.sampling.sample import sample
    from solvers import FixedGrid

    counted = CallCounter(Conditioned(model.denoiser, **_told(label, begin, chunk, model.device)))
    reversal, solver = recipe.build(model.sde, counted)
    if not isinstance(label, int | None) and not isinstance(solver, FixedGrid):
        raise ValueError(
            f"{recipe.label} takes steps of each sample's own and one class at a time; name one with steps"
        )
    reversal, shape = reversal.with_prior(model.prior), (count, *model.facts.event_shape)
    drawn = sample(
        reversal, solver, shape, seed, first=begin, noise=paths_for(solver), chunk=chunk, device=model.device
    )
    return drawn.cpu(), counted.rows


def _told(label: int | Tensor | None, begin: int, chunk: int, device: torch.device) -> dict[str, Any]:
    """What the network is told of the samples begin .. begin + chunk - 1, each label a function of its number alone."""
    import torch

    if label is None:
        return {}
    if isinstance(label, int):
        return {"label": label}
    return {"label": label[torch.arange(begin, begin + chunk) % len(label)].to(device)}
