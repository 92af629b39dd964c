"""diffusers: its stochastic schedulers, each on the given noise levels.

As in `sde_diffusion.testing.adapters.diffusers`, the public table `sigmas` is replaced after `set_timesteps`: its own custom
levels are rounded to a table of a thousand. The multistep ones use variance-preserving coordinates, those of k-diffusion
alpha = 1. To know: SA-Solver's noise is on for the timesteps 200 to 800 alone unless asked otherwise; ancestral Euler refuses
integer timesteps; DPMSolverSDE asks its tree at ends rounded to float32, outside of the tree's range by a rounding, and warns;
and sde-dpmsolver++ of order 3 gets worse with more calls, up to some hundred: the coefficient of its second difference D_2 is
(1 - e^{-2h} - 2h)/(2h)^2 - 1/2, which tends to -1, where the integral of exponential Adams 3 has + 1/2 and tends to 0.

Left out: DDPM, DDIM, TCD and LCM, which look their levels up in a discrete table; KDPM2Ancestral, with four more tables;
EDMDPMSolverMultistep and CosineDPMSolverMultistep, the solver of sde-dpmsolver++ with another preconditioning.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.base import Peer
from sde_diffusion.testing.adapters.diffusers import prepare
from sde_diffusion.testing.sampler import Denoise

Settings = dict[str, Any]


def noisy_peers(seed: int) -> Iterator[Peer]:
    """SDE-DPM-Solver++ 1 to 3, SDE-DPM-Solver 2, SA-Solver 2 and 3, ancestral Euler, DPMSolverSDE on its Brownian tree."""
    import diffusers

    d: Any = diffusers
    draws = torch.Generator().manual_seed(seed)
    full = {"lower_order_final": False}
    for kind, orders in (("sde-dpmsolver++", (1, 2, 3)), ("sde-dpmsolver", (2,))):
        for order in orders:
            # the last level is not zero, and a third-order noise prediction is not offered
            settings = {"algorithm_type": kind, "solver_order": order, "final_sigmas_type": "sigma_min", **full}
            yield _preserving(f"{kind} {order}", d.DPMSolverMultistepScheduler, settings, draws)
    for order in (2, 3):
        settings = {"predictor_order": order, "corrector_order": order, "tau_func": _always, **full}
        yield _preserving(f"SA-Solver {order}", d.SASolverScheduler, settings, draws)
    yield Peer("diffusers", "EulerAncestral", partial(_ancestral, d.EulerAncestralDiscreteScheduler, draws))
    yield Peer("diffusers", "DPMSolverSDE", partial(_on_its_tree, d.DPMSolverSDEScheduler, seed), calls=2)


def _always(t: Any) -> float:
    return 1.0


def _preserving(name: str, make: Any, settings: Settings, draws: torch.Generator) -> Peer:
    return Peer("diffusers", name, partial(_run_preserving, make, settings, draws))


def _run_preserving(make: Any, settings: Settings, draws: torch.Generator, denoise: Denoise, y: Tensor, kappas: Tensor):
    """x = y/sqrt(1 + kappa^2) is the state, the noise (y - D)/kappa the model's output."""
    steps = make(**settings)
    prepare(steps, len(kappas) - 1)
    steps.sigmas = kappas
    roots = (1 + kappas**2).sqrt().tolist()
    x = y / roots[0]
    for t, kappa, root in zip(steps.timesteps, kappas.tolist(), roots, strict=False):
        y = x * root
        x = steps.step((y - denoise(y, kappa)) / kappa, t, x, generator=draws, return_dict=False)[0]
    return x * roots[-1]


def _ancestral(make: Any, draws: torch.Generator, denoise: Denoise, y: Tensor, kappas: Tensor) -> Tensor:
    """The state is y."""
    steps = make()
    prepare(steps, len(kappas) - 1)
    steps.sigmas, steps.timesteps = kappas, steps.timesteps.double()
    for t, kappa in zip(steps.timesteps, kappas.tolist(), strict=False):
        steps.scale_model_input(y, t)
        y = steps.step((y - denoise(y, kappa)) / kappa, t, y, generator=draws, return_dict=False)[0]
    return y


def _on_its_tree(make: Any, seed: int, denoise: Denoise, y: Tensor, kappas: Tensor) -> Tensor:
    """Two evaluations a step, at its beginning and its middle; in its table every level but the ends stands twice."""
    steps = make(noise_sampler_seed=seed)
    prepare(steps, len(kappas) - 1)
    steps.sigmas = torch.cat([kappas[:1], kappas[1:-1].repeat_interleave(2), kappas[-1:]])
    steps.timesteps = torch.arange(len(steps.sigmas), 0, -1).double()
    for t, level in zip(steps.timesteps, steps.sigmas.tolist(), strict=True):
        kappa = level if steps.state_in_first_order else float(steps.mid_point_sigma)
        y = steps.step((y - denoise(y, kappa)) / kappa, t, y, return_dict=False)[0]
    return y
