"""Samples of a model by a sampler, with their measured cost: network evaluations counted, seconds on the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers import CallCounter, Denoiser
from sde_diffusion.io.terminal import progress_bar
from sde_diffusion.model import DiffusionModel
from sde_diffusion.sampling.sampler import Sampler


@dataclass(frozen=True)
class Generated:
    """Samples (N, *E) on the CPU, the network evaluations for each sample, and the seconds that all took."""

    x: Tensor
    evaluations: float
    seconds: float


def at_budgets(samplers: Sequence[Sampler], budgets: Sequence[int]) -> list[Sampler]:
    """Each sampler at each number of network evaluations that it can keep to."""
    return [one for sampler in samplers for one in sampler.at_budgets(budgets)]


def samples_of(
    model: DiffusionModel,
    sampler: Sampler,
    count: int,
    seed: int = 0,
    chunk: int = 256,
    label: int | Tensor | None = None,
    condition: Tensor | None = None,
) -> Generated:
    """`count` samples, all of the class `label`, or sample i of the class label[i mod K] for labels (K,).

    Sample i has the condition condition[i mod K] of numbers (K, C), in their own units. Sample i does not depend on `count`,
    for one `chunk`. A progress bar counts the chunks on a terminal.
    """
    start, rows, parts = time.perf_counter(), 0, []
    for first in progress_bar(range(0, count, chunk), sampler.label, "chunk"):
        part, asked = generate_chunk(model, sampler, first, min(chunk, count - first), seed, chunk, label, condition)
        parts.append(part)
        rows += asked
    return Generated(torch.cat(parts), rows / (len(parts) * chunk), time.perf_counter() - start)


def generate_chunk(
    model: DiffusionModel,
    sampler: Sampler,
    first: int,
    count: int,
    seed: int,
    chunk: int,
    label: int | Tensor | None = None,
    condition: Tensor | None = None,
    guide: Callable[[Denoiser], Denoiser] | None = None,
) -> tuple[Tensor, int]:
    """Samples first .. first + count - 1 on the CPU, and for how many rows the network was called.

    `first` is a multiple of `chunk`, and `count` at most that. `guide` is a guidance.
    """
    counted = CallCounter(model.denoiser)
    numbers, asked = torch.arange(first, first + count), {"label": label, "condition": condition}
    own: dict[str, Any] = {
        name: one[numbers % len(one)] if isinstance(one, Tensor) else one for name, one in asked.items()
    }
    denoiser = counted if guide is None else guide(counted)
    x = replace(model, denoiser=denoiser).sample(count, sampler, seed=seed, first=first, chunk=chunk, **own)
    return x.cpu(), counted.rows
