"""Weighted sampling: particle sets in the place of independent samples, for laws that no denoiser draws.

Sample i belongs to set i // particles and is a function of (seed, i, particles, grid) alone: the same in any batch of whole
sets, whatever the number of samples or the chunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.io.finite import finite_rows
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.gaussian_form import gaussian_form
from sde_diffusion.sampling.budget import Calls
from sde_diffusion.sampling.default_sde import FINE
from sde_diffusion.sampling.sample import CHUNK, initial_state
from sde_diffusion.sampling.sampler import FormSampler
from sde_diffusion.sampling.spacings import log_snr
from solvers.grids import check_grid
from solvers.integrate import FixedGrid, Solver, grid, state_dtype
from solvers.methods.stochastic_exponential_adams import StochasticExponentialAdams
from solvers.particles import Outcome, ParticleSets, Weighting, weighted_paths
from solvers.particles.weighted import check_weighted
from solvers.stepwise import Oracle
from solvers.wiener import PathSpec

Build = Callable[[Oracle], tuple[Reversal, Solver]]
"""A sampler's reversal and solver of a denoiser."""


@dataclass(frozen=True)
class WeightedSamples:
    """Samples of equal weight, and what their sets say of them.

    Attributes:
        x: shape (N, *E).
        log_evidence: log of the mean of the sets' estimates of the normaliser, in nats: log p(y) for an observation.
        log_evidence_error: its standard error, from the spread between sets; NaN for one set.
        ess: the lowest effective number of each set, as a share of its size, shape (S,).
        ancestors: how many first particles have a descendant, of each set, shape (S,). Samples of a set that descend from
            one are alike in what was decided early.
        set_log_evidence: log Z of each set, shape (S,).
    """

    x: Tensor
    log_evidence: float
    log_evidence_error: float
    ess: Tensor
    ancestors: Tensor
    set_log_evidence: Tensor


def default_weighted_sampler() -> FormSampler:
    """Exponential Adams of 2 fields with exact noise on the Gaussian form of the reverse SDE. Weak order 2, 1 call a step.

    It is dpmpp_2m_sde with the flow of fine Gaussian data in the linear part, FINE of `default_sde`: of the methods whose steps
    have a density, the most accurate at 20 calls. benchmarks/posteriors.py measures it.
    """

    def form(sde: Any, denoiser: Any) -> Reversal:
        return gaussian_form(sde, denoiser, 1.0, FINE)

    return FormSampler("gaussian_2m_sde", form, StochasticExponentialAdams(2), log_snr(), Calls(50))


def sample_weighted(
    build: Build,
    weighting: Weighting,
    shape: Sequence[int],
    seed: int = 0,
    *,
    particles: int = 16,
    first: int = 0,
    chunk: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> WeightedSamples:
    """Samples (N, *E) of the weighted paths of a sampler.

    Args:
        build: what makes the reversal and the solver of an oracle, such as lambda oracle: sampler.build(sde, oracle, nfe=50);
            a stochastic sampler on a grid, of one call a step, such as dpmpp_2m_sde.
        weighting: asks the denoiser, once a step and once at the end.
        shape: (N, *E).
        particles: of a set. Whole sets are computed, and the first N samples returned.
        seed, first, dtype, device: see `sample`; `first` begins a set.
        chunk: at most so many samples at once, a multiple of `particles`.

    Raises TypeError for a sampler of another kind, ValueError for numbers that are no whole sets, FloatingPointError for
    samples that are not finite.
    """
    oracle = Oracle()
    job = _Job(*_checked(build(oracle)), oracle, weighting, tuple(shape[1:]), seed, particles, dtype or torch.float32)
    chunks = list(_chunks(shape, first, particles, chunk))
    outcomes = [job.run(torch.arange(*ends, device=device or "cpu")) for ends in chunks]
    x = finite_rows(torch.cat([one.x for one in outcomes])[: shape[0]], "samples", torch.tensor(first))
    logs, ess, ancestors = (torch.cat([one[k] for one in outcomes]) for k in (1, 2, 3))
    return WeightedSamples(x, *evidence(finite_rows(logs, "sets")), ess, ancestors, logs)


def evidence(logs: Tensor) -> tuple[float, float]:
    """log of the mean of exp(logs) and its standard error, by the spread of S >= 2 independent estimates."""
    if len(logs) < 2:
        return logs.item(), math.nan
    relative = (logs - logs.max()).exp()
    error = relative.std() / relative.mean() / len(logs) ** 0.5
    return (logs.max() + relative.mean().log()).item(), error.item()


@dataclass(frozen=True)
class _Job:
    reversal: Reversal
    solver: FixedGrid
    oracle: Oracle
    weighting: Weighting
    event_shape: tuple[int, ...]
    seed: int
    particles: int
    dtype: torch.dtype

    @torch.inference_mode(False)
    @torch.no_grad()
    def run(self, indices: Tensor) -> Outcome:
        """Whole sets."""
        one, method, equation = self.reversal, self.solver.method, self.reversal.equation
        spec = PathSpec(self.seed, indices, self.event_shape, one.start, one.stop, state_dtype(self.dtype))
        times = check_grid(grid(equation, one.start, one.stop, self.solver.steps, self.solver.spacing))
        y = one.to_chart(initial_state(one, spec), one.start)
        sets = ParticleSets(indices, self.particles, self.seed)
        outcome = weighted_paths(
            method, equation, self.oracle, self._finish, y, times, self.solver.noise(spec), sets, self.weighting
        )
        return outcome._replace(x=outcome.x.to(self.dtype))

    def _finish(self, y: Tensor) -> Tensor:
        stop = self.reversal.stop
        return self.reversal.finish(self.reversal.from_chart(y, stop), stop)


def _checked(built: tuple[Reversal, Solver]) -> tuple[Reversal, Any]:
    """Raises TypeError for a sampler that is not on a grid, and what `solvers.particles` refuses."""
    reversal, solver = built
    if not isinstance(solver, FixedGrid):
        raise TypeError(f"particles need a grid that is known before, got {type(solver).__name__}; give steps or nfe")
    times = check_grid(grid(reversal.equation, reversal.start, reversal.stop, solver.steps, solver.spacing))
    check_weighted(solver.method, reversal.equation, times)
    return reversal, solver


def _chunks(shape: Sequence[int], first: int, particles: int, chunk: int | None) -> Iterator[tuple[int, int]]:
    """(begin, end) of whole sets that cover first .. first + N - 1."""
    if len(shape) < 2 or not all(isinstance(n, int) for n in (*shape, particles)) or shape[0] < 1 or particles < 2:
        raise ValueError(
            f"shape is (N, *E) with N >= 1 and a set has at least 2 particles, got {tuple(shape)}, {particles}"
        )
    size = max(CHUNK // particles, 1) * particles if chunk is None else chunk
    if size % particles or first % particles or size < 1:
        raise ValueError(
            f"a chunk and the first sample are multiples of the {particles} particles of a set, got {chunk} and {first}; "
            f"take {particles * max(1, round((chunk or CHUNK) / particles))}"
        )
    last = first + math.ceil(shape[0] / particles) * particles
    yield from ((begin, min(begin + size, last)) for begin in range(first, last, size))
