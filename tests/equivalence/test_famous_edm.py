"""EDM's deterministic sampler: our Heun on the probability flow of the EDM process with the power(7) grid.

The algorithm's grid has n levels from sigma_max to sigma_min and then 0. On the last step Heun's second slope would
divide by zero, so the algorithm takes Euler's step, x + (0 - sigma)(x - D)/sigma = D: our `finish`.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from diffusers import HeunDiscreteScheduler
from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal import probability_flow
from sde_diffusion.sde import EDM
from solvers import FixedGrid, Heun, power
from tests.equivalence.famous import BATCH, DENOISER, normal

PROCESS = EDM()
START = 80 * normal(BATCH, 2)


def denoise(x: Tensor, sigma: float) -> Tensor:
    return DENOISER(x, Kernel(1.0, sigma))


def algorithm_1(x: Tensor, sigmas: list[float]) -> Tensor:
    """Karras et al. 2022, algorithm 1 with s(t) = 1, sigma(t) = t (algorithm 2 without churn), line by line."""
    for t, s in pairwise(sigmas):
        d = (x - denoise(x, t)) / t
        x_next = x + (s - t) * d
        if s != 0:
            d_next = (x_next - denoise(x_next, s)) / s
            x_next = x + (s - t) * (d / 2 + d_next / 2)
        x = x_next
    return x


def karras_levels(n: int) -> list[float]:
    """Equation (5) with rho = 7, sigma from 80 to 0.002, and the 0 at the end."""
    root = [80 ** (1 / 7) + i / (n - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7)) for i in range(n)]
    return [r**7 for r in root] + [0.0]


def ours(x: Tensor, n: int) -> Tensor:
    reversal = probability_flow(PROCESS, DENOISER)
    x = FixedGrid(Heun(), n - 1, power(7))(reversal.equation, x, reversal.start, reversal.stop)
    return reversal.finish(x, reversal.stop)


@pytest.mark.parametrize("n", [2, 18, 40])
def test_heun_is_the_algorithm_of_the_paper(n):
    torch.testing.assert_close(ours(START, n), algorithm_1(START, karras_levels(n)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("n", [18, 40])
def test_heun_is_diffusers_heun(n):
    """HeunDiscreteScheduler visits every inner level twice; its levels are handed over in float64."""
    scheduler = HeunDiscreteScheduler(prediction_type="sample")
    scheduler.set_timesteps(n)
    levels = torch.tensor(karras_levels(n), dtype=torch.float64)
    scheduler.sigmas = torch.cat([levels[:1], levels[1:-1].repeat_interleave(2), levels[-1:]])
    x = START
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(denoise(x, scheduler.sigmas[i].item()), t, x).prev_sample
    torch.testing.assert_close(ours(START, n), x, rtol=0, atol=1e-11)
