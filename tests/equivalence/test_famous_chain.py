"""DDPM and DDIM: our chains are diffusers' DDIMScheduler and DDPMScheduler, number for number.

Both get the exact denoiser of a mixture, the linear table of betas in float64 and the same noise. A run to x_0 is ours
from the first node down to t_min, and there the denoised mean, which is what diffusers' last step returns.
"""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from sde_diffusion.reversal import ancestral, ancestral_large, data_form, ddim, noise_form
from solvers import Ancestral, ExponentialEuler
from tests.equivalence.famous import BATCH, CHAIN, DENOISER, Given, chain_noise, normal, on_our_chain, ours, run, stream

UNCLIPPED = {"clip_sample": False, "beta_schedule": "linear"}


def nodes(scheduler) -> list[float]:
    """Our times of a scheduler's steps: its step k is our node k + 1."""
    return [CHAIN.node(k + 1) for k in scheduler.timesteps.tolist()]


def to_data(reversal, method, times, x, noise=None):
    """From the first of the SDE's times to the last, then `finish`."""
    readings = [reversal.clock.from_time(t) for t in times]
    return reversal.finish(ours(reversal, method, readings, x, noise), readings[-1])


@pytest.mark.parametrize("steps", [10, 50])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(eta, steps):
    """DDIM(eta) with diffusers' `variance_noise` drawn from the stream that our path is made of; equal to 1e-11."""
    scheduler, x, given = on_our_chain(DDIMScheduler(**UNCLIPPED), steps), normal(BATCH, 2), stream(1)
    theirs = x
    for t in scheduler.timesteps.tolist():
        theirs = scheduler.step(chain_noise(theirs, t), t, theirs, eta=eta, variance_noise=next(given)).prev_sample
    mine = to_data(ddim(CHAIN, DENOISER, eta), Ancestral(), nodes(scheduler), x, Given(stream(1)))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("form", [data_form, noise_form])
def test_deterministic_ddim_is_exponential_euler_in_both_charts(form):
    scheduler, x = on_our_chain(DDIMScheduler(**UNCLIPPED), 20), normal(BATCH, 2)
    mine = to_data(form(CHAIN, DENOISER), ExponentialEuler(), nodes(scheduler), x)
    torch.testing.assert_close(mine, run(scheduler, chain_noise, x), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("reversal", "variance"), [(ancestral, "fixed_small"), (ancestral_large, "fixed_large")])
@pytest.mark.parametrize("steps", [20, 100])
def test_ddpm(reversal, variance, steps):
    """The two variances of the DDPM paper, diffusers drawing from a generator that we replay; equal to 1e-11."""
    scheduler = on_our_chain(DDPMScheduler(variance_type=variance, **UNCLIPPED), steps)
    x = normal(BATCH, 2)
    theirs = run(scheduler, chain_noise, x, generator=torch.Generator().manual_seed(2))
    mine = to_data(reversal(CHAIN, DENOISER), Ancestral(), nodes(scheduler), x, Given(stream(2)))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-11)


def test_the_chain_is_diffusers_own_table():
    """With nothing handed over: diffusers' float32 products are the chain's to float32 rounding, and so is a run."""
    scheduler, x = DDIMScheduler(**UNCLIPPED), normal(BATCH, 2)
    exact = torch.tensor([CHAIN.alpha_bar(i + 1) for i in range(CHAIN.steps)], dtype=torch.float64)
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), exact, rtol=2e-5, atol=0)
    scheduler.set_timesteps(20)
    mine = to_data(ddim(CHAIN, DENOISER), Ancestral(), nodes(scheduler), x, Given(stream(0)))
    torch.testing.assert_close(mine, run(scheduler, chain_noise, x), rtol=0, atol=1e-4)
