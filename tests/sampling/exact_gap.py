"""How far a sampler's distribution is from the exact one: the gap in the mean log-density, on exactly known distributions."""

from __future__ import annotations

import math
from functools import cache

import torch

from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.sampling.named import default
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


def ends(sampler, law: str, process: str, count: int, **budget) -> torch.Tensor:
    """Log-densities of `count` samples at t_min, from the prior that is matched to the data's mean and variance."""
    sde, exact = PROCESSES[process], LAWS[law]()
    variance = exact.variance.mean().item()
    reversal, solver = sampler.build(sde, denoiser(law), data_std=math.sqrt(variance), **budget)
    noise = KeyedIncrements if hasattr(solver, "steps") else WienerTree
    form = reversal.without_final_denoise().with_prior(sde.prior(exact.mean, variance))
    x = sample(form, solver, (count, 2), 3, noise=noise, chunk=count, dtype=torch.float64)
    return target(law, process)[0].log_prob(x)


def gap(sampler, law: str, process: str, count: int, **budget) -> float:
    """Mean log-density of the samples minus the exact one, in nats; its standard error is 1/sqrt(count)."""
    return ends(sampler, law, process, count, **budget).mean().item() - target(law, process)[1]


@cache
def reference(law: str, process: str, count: int) -> torch.Tensor:
    """The same by 200 calls of the default sampler: the ends of the flow itself to 1e-5."""
    return ends(default(), law, process, count, nfe=200)


def paired_gap(sampler, law: str, process: str, count: int, **budget) -> tuple[float, float]:
    """(gap to the reference from the same initial states, its standard error)."""
    apart = ends(sampler, law, process, count, **budget) - reference(law, process, count)
    return apart.mean().item(), apart.std().item() / math.sqrt(count)
