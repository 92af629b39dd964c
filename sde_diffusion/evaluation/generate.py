"""Samples of a model by a sampler, with their measured cost: network evaluations counted, seconds on the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.evaluation.recipe import Recipe, run_sampler
from sde_diffusion.io.terminal import progress_bar
from sde_diffusion.sde import GaussianPrior, LinearSDE


class TrainedModel(Protocol):
    """What an evaluation needs of a model."""

    @property
    def sde(self) -> LinearSDE: ...  # noqa: D102
    @property
    def denoiser(self) -> Denoiser: ...  # noqa: D102
    @property
    def prior(self) -> GaussianPrior: ...  # noqa: D102
    @property
    def event_shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def classes(self) -> int | None: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102


@dataclass(frozen=True)
class Generated:
    """Samples (N, *E) on the CPU, the network evaluations for each sample, and the seconds that all took."""

    x: Tensor
    evaluations: float
    seconds: float


def samples_of(
    model: TrainedModel,
    sampler: Recipe,
    count: int,
    seed: int = 0,
    chunk: int = 256,
    label: int | Tensor | None = None,
) -> Generated:
    """`count` samples, all of the class `label`, or sample i of the class label[i mod K] for labels (K,).

    Sample i does not depend on `count`, for one `chunk`. A progress bar counts the chunks on a terminal. ValueError for
    several labels and a sampler that chooses steps for each sample.
    """
    start, rows, parts = time.perf_counter(), 0, []
    for first in progress_bar(range(0, count, chunk), sampler.label, "chunk"):
        part, asked = generate_chunk(model, sampler, first, min(chunk, count - first), seed, chunk, label)
        parts.append(part)
        rows += asked
    return Generated(torch.cat(parts), rows / (len(parts) * chunk), time.perf_counter() - start)


def generate_chunk(
    model: TrainedModel, sampler: Recipe, first: int, count: int, seed: int, chunk: int, label: int | Tensor | None
) -> tuple[Tensor, int]:
    """Samples first .. first + count - 1 on the CPU, and for how many rows the network was called.

    `first` is a multiple of `chunk`, and `count` at most that.
    """
    x, _, rows = run_sampler(
        sampler, model.sde, model.denoiser, model.prior, (count, *model.event_shape), seed, first=first, chunk=chunk,
        device=model.device, condition=_condition(label, first, chunk, model.device),
    )  # fmt: skip
    return x.cpu(), rows


def _condition(label: int | Tensor | None, first: int, chunk: int, device: torch.device) -> dict[str, Any]:
    """The condition of samples first .. first + chunk - 1: each label depends on the number of its sample alone."""
    if label is None:
        return {}
    if isinstance(label, int):
        return {"label": label}
    return {"label": label[torch.arange(first, first + chunk) % len(label)].to(device)}
