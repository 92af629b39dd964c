"""diffusers: its multistep schedulers, in their variance-preserving chart.

`set_timesteps` prepares a scheduler, then its public tables `sigmas` (`alphas` and `betas` of IPNDM) and `timesteps`
are replaced by the given levels; the library's own steps do the rest. Schedulers have state: every run makes a new one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.testing.sampler import Denoise, SamplerUnderTest
from solvers.wiener import WienerPath


def scheduler(
    make: Any, name: str, order: float | None = None, stochastic: bool = False, **settings: Any
) -> SamplerUnderTest:
    """A scheduler class that has a table `sigmas` and predicts noise, with its settings.

    A stochastic one must take the noise of a step as `variance_noise`.
    """
    return SamplerUnderTest(name, partial(run, make, settings), order, stochastic)


def ipndm(order: int, declared: float | None = None) -> SamplerUnderTest:
    """IPNDMScheduler with a history of `order` fields."""
    return SamplerUnderTest(f"iPNDM {order}", partial(run_ipndm, order), declared)


def run(
    make: Any, settings: dict[str, Any], denoise: Denoise, y: Tensor, kappas: Tensor, noise: WienerPath | None = None
) -> Tensor:
    """x = y/sqrt(1 + kappa^2) is these schedulers' state, the noise (y - D)/kappa their model's output."""
    steps = make(**settings)
    prepare(steps, len(kappas) - 1)
    steps.sigmas = kappas
    roots, levels = (1 + kappas**2).sqrt().tolist(), kappas.tolist()
    x = y / roots[0]
    for i, (t, kappa) in enumerate(zip(steps.timesteps, levels, strict=False)):
        y = x * roots[i]
        x = steps.step((y - denoise(y, kappa)) / kappa, t, x, return_dict=False, **_unit(noise, kappa, levels[i + 1]))[
            0
        ]
    return x * roots[-1]


def _unit(noise: WienerPath | None, t: float, s: float) -> dict[str, Tensor]:
    return {} if noise is None else {"variance_noise": noise.increment(t, s) / abs(s - t) ** 0.5}


def run_ipndm(order: int, denoise: Denoise, y: Tensor, kappas: Tensor, noise: WienerPath | None = None) -> Tensor:
    """alpha = 1, beta = kappa: the scheduler takes beta x + alpha v for the noise; v = noise - kappa y."""
    import diffusers

    library: Any = diffusers
    steps = library.IPNDMScheduler()
    prepare(steps, len(kappas) - 1)
    steps.betas, steps.alphas = kappas, torch.ones_like(kappas)
    for t, kappa in zip(steps.timesteps, kappas.tolist(), strict=False):
        steps.ets = steps.ets[1 - order :]
        eps = (y - denoise(y, kappa)) / kappa
        y = steps.step(eps - kappa * y, t, y, return_dict=False)[0]
    return y


def prepare(scheduler: Any, count: int) -> None:
    """A run of `count` steps, each with a timestep of its own."""
    scheduler.set_timesteps(count)
    scheduler.timesteps = torch.arange(count, 0, -1)
    scheduler.set_begin_index(0)
