"""How far a sampler's distribution is from the exact one: the gap in the mean log-density, on exactly known distributions."""

from __future__ import annotations

import math
from functools import cache

import torch

from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import DDPM, EDM, VE, VP, Brownian, Cosine, Rectified, SubVP
from solvers import KeyedIncrements, WienerTree

PROCESSES = {
    "VP": VP(),
    "SubVP": SubVP(),
    "VE": VE(),
    "Brownian": Brownian(),
    "Cosine": Cosine(),
    "EDM": EDM(),
    "Rectified": Rectified(),
    "DDPM": DDPM(),
}
LAWS = {"two": two, "ring8": ring8}
WIDTHS = {"two": 0.2, "ring8": 0.05}
"""The standard deviation of every mode."""


@cache
def denoiser(law: str) -> ExactDenoiser:
    return ExactDenoiser(LAWS[law]())


@cache
def target(law: str, process: str) -> tuple[Mixture, float]:
    """The distribution of x at t_min and its mean log-density, by 1e6 exact draws: to 0.001 nats in the plane."""
    sde = PROCESSES[process]
    there = LAWS[law]().through(sde.kernel(sde.t_min))
    return there, there.log_prob(there.sample(10**6, torch.Generator().manual_seed(2))).mean().item()


def gap(sampler, law: str, process: str, count: int, **budget) -> float:
    """Mean log-density of `count` samples at t_min minus the exact one, in nats; its standard error is 1/sqrt(count)."""
    sde, exact = PROCESSES[process], LAWS[law]()
    data_std = math.sqrt(exact.variance.mean().item())
    reversal, solver = sampler.build(sde, denoiser(law), data_std=data_std, **budget)
    there, mean = target(law, process)
    matched = sde.prior(exact.mean, exact.variance.mean().item())
    noise = KeyedIncrements if hasattr(solver, "steps") else WienerTree
    form = reversal.without_final_denoise().with_prior(matched)
    x = sample(form, solver, (count, 2), 3, noise=noise, chunk=count, dtype=torch.float64)
    return there.log_prob(x).mean().item() - mean
