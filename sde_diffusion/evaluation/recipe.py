"""What an evaluation asks of a sampler, and the one place where it builds and runs one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.denoisers.counting import CallCounter
from sde_diffusion.reversal import Reversal
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import GaussianPrior, LinearSDE
from solvers import FixedGrid, KeyedIncrements, Solver, WienerTree


class Recipe(Protocol):
    """A sampler with a name, for any process and denoiser; `str()` spells it out."""

    @property
    def label(self) -> str:
        """Its short name, as tables and plots show it."""
        ...

    @property
    def steps(self) -> int:
        """The number of solver steps; 0 for a solver that chooses its own."""
        ...

    def at_budgets(self, budgets: Sequence[int]) -> Iterator[Recipe]:
        """The same sampler at each number of network evaluations that pays for at least one step."""
        ...

    def assembled(self, sde: LinearSDE, denoiser: Denoiser) -> tuple[Reversal, Solver]:
        """The reversal and the solver; ValueError when they do not fit."""
        ...


def at_budgets(samplers: Sequence[Recipe], budgets: Sequence[int]) -> list[Recipe]:
    """Each sampler at each number of network evaluations that it can keep to."""
    return [one for sampler in samplers for one in sampler.at_budgets(budgets)]


def run_sampler(
    sampler: Recipe,
    sde: LinearSDE,
    denoiser: Denoiser,
    prior: GaussianPrior,
    shape: tuple[int, ...],
    seed: int,
    *,
    chunk: int,
    first: int = 0,
    dtype: torch.dtype | None = None,
    device: Any = None,
    final_denoise: bool = True,
    condition: dict[str, Any] | None = None,
) -> tuple[Tensor, Reversal, int]:
    """Samples first .. first + shape[0] - 1, the reversal that made them, and how many rows the network was asked for.

    `condition` goes to the denoiser. ValueError for a condition for each sample and a solver that chooses steps for each
    sample.
    """
    counted = CallCounter(denoiser, **(condition or {}))
    reversal, solver = sampler.assembled(sde, counted)
    per_sample = any(isinstance(value, Tensor) for value in (condition or {}).values())
    if per_sample and not isinstance(solver, FixedGrid):
        raise ValueError(
            f"{sampler.label} chooses steps for each sample and takes one class at a time; choose a sampler with steps"
        )
    reversal = reversal.with_prior(prior)
    noise = KeyedIncrements if isinstance(solver, FixedGrid) else WienerTree
    begun = reversal if final_denoise else reversal.without_final_denoise()
    given: dict[str, Any] = {name: value for name, value in (("dtype", dtype), ("device", device)) if value is not None}
    x = sample(begun, solver, shape, seed, first=first, noise=noise, chunk=chunk, **given)
    return x, reversal, counted.rows
