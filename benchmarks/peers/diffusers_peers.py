"""diffusers: its multistep schedulers without noise, in their variance-preserving chart.

`set_timesteps` prepares a scheduler, then its public tables `sigmas` (`alphas` and `betas` of IPNDM) and `timesteps`
are replaced by the given levels; the library's own steps do the rest. Schedulers remember: every run makes a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.base import Denoise, Peer


def peers() -> Iterator[Peer]:
    """DPM-Solver (2, 3), UniPC (2, 3), SA-Solver without noise and iPNDM (2 to 4).

    Left out, for another setting gives the same numbers: DPM-Solver++ 2M and 3M (k-diffusion's), DEIS 2 and 3
    (azula's zEAB), UniPC 3 bh1 (bh2; within 5% on the noise), SA-Solver on the data (UniPC 3, within 2%).
    """
    import diffusers as d

    full = {"lower_order_final": False}
    for order in (2, 3):
        settings = {"algorithm_type": "dpmsolver", "solver_order": order, "final_sigmas_type": "sigma_min", **full}
        yield _peer(f"dpmsolver {order}M", d.DPMSolverMultistepScheduler, settings)
    for (order, variant), data in product(((2, "bh1"), (2, "bh2"), (3, "bh2")), (False, True)):
        settings = {"solver_order": order, "solver_type": variant, "predict_x0": data, **full}
        yield _peer(f"UniPC {order} {variant} {'data' if data else 'noise'}", d.UniPCMultistepScheduler, settings)
    yield _peer("UniPC 3 bh2 data, low-order end", d.UniPCMultistepScheduler, {"solver_order": 3})
    adams = {"predictor_order": 3, "corrector_order": 3, "algorithm_type": "noise_prediction", "tau_func": _no_noise}
    yield _peer("SA-Solver 3 noise", d.SASolverScheduler, {**adams, **full})
    for order in (2, 3, 4):
        yield Peer("diffusers", f"iPNDM {order}", partial(_run_ipndm, order))


def _peer(name: str, scheduler: Any, settings: dict[str, Any]) -> Peer:
    return Peer("diffusers", name, partial(_run, scheduler, settings))


def _no_noise(t: Any) -> float:
    return 0.0


def _run(scheduler: Any, settings: dict[str, Any], denoise: Denoise, y: Tensor, kappas: Tensor) -> Tensor:
    """x = y/sqrt(1 + kappa^2) is these schedulers' state, the noise (y - D)/kappa their model's output."""
    steps = scheduler(**settings)
    _prepare(steps, len(kappas) - 1)
    steps.sigmas = kappas
    roots = (1 + kappas**2).sqrt().tolist()
    x = y / roots[0]
    for t, kappa, root in zip(steps.timesteps, kappas.tolist(), roots, strict=False):
        y = x * root
        x = steps.step((y - denoise(y, kappa)) / kappa, t, x, return_dict=False)[0]
    return x * roots[-1]


def _run_ipndm(order: int, denoise: Denoise, y: Tensor, kappas: Tensor) -> Tensor:
    """alpha = 1, beta = kappa: the scheduler takes beta x + alpha v for the noise; v = noise - kappa y."""
    from diffusers import IPNDMScheduler

    steps = IPNDMScheduler()
    _prepare(steps, len(kappas) - 1)
    steps.betas, steps.alphas = kappas, torch.ones_like(kappas)
    for t, kappa in zip(steps.timesteps, kappas.tolist(), strict=False):
        steps.ets = steps.ets[1 - order :]
        noise = (y - denoise(y, kappa)) / kappa
        y = steps.step(noise - kappa * y, t, y, return_dict=False)[0]
    return y


def _prepare(scheduler: Any, count: int) -> None:
    """A run of `count` steps, each with a timestep of its own."""
    scheduler.set_timesteps(count)
    scheduler.timesteps = torch.arange(count, 0, -1)
    scheduler.set_begin_index(0)
