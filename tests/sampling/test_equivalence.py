"""Named samplers are the algorithms of their papers, number for number."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.kernel import Kernel
from sde_diffusion.sampling import named as samplers
from sde_diffusion.sampling.named import SAMPLERS
from sde_diffusion.sde import EDM, VP
from solvers.wiener import WienerPath

DENOISER = ExactDenoiser(two())
START = torch.randn(32, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Given(WienerPath):
    """The k-th increment is the k-th of a list of unit normals, brought to the step's variance."""

    def __init__(self, normals: list[Tensor]):
        self.normals = iter(normals)

    def increment(self, t, s):
        return next(self.normals) * abs(s - t) ** 0.5

    def channel(self, k):
        raise ValueError("given noise has one channel")


def normals(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(32, 2, generator=generator, dtype=torch.float64) for _ in range(count)]


def denoised(x: Tensor, sigma: float) -> Tensor:
    return DENOISER(x, Kernel(1.0, sigma))


def ours(sampler, sde, x: Tensor, noise=None, last=True, **given) -> tuple[Tensor, list[float]]:
    """The sampler's end and the noise levels sigma/alpha of its grid."""
    reversal, solver = sampler.build(sde, DENOISER, **given)
    times = solver.spacing(reversal.start, reversal.stop, solver.steps).tolist()
    levels = [float(sde.sigma(t) / sde.alpha(t)) for t in map(reversal.clock.to_time, times)]
    path = Given(noise) if noise is not None else None
    y = solver(reversal.equation, reversal.to_chart(x, reversal.start), reversal.start, reversal.stop, path)
    x = reversal.from_chart(y, reversal.stop)
    return (reversal.finish(x, reversal.stop) if last else x), levels


@pytest.mark.parametrize("nfe", [3, 35, 79])
def test_edm_is_algorithm_1_on_the_grid_of_the_paper(nfe):
    """Karras et al. 2022, algorithm 1: n levels from 80 to 0.002 and then 0, 2 n - 1 calls."""
    n = (nfe + 1) // 2
    root = [80 ** (1 / 7) + i / (n - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7)) for i in range(n)]
    x = 80 * START
    mine, _ = ours(samplers.edm(), EDM(), x, nfe=nfe)
    for t, s in pairwise([r**7 for r in root] + [0.0]):
        d = (x - denoised(x, t)) / t
        ahead = x + (s - t) * d
        if s != 0:
            ahead = x + (s - t) * (d / 2 + (ahead - denoised(ahead, s)) / s / 2)
        x = ahead
    torch.testing.assert_close(mine, x, rtol=0, atol=1e-11)


def test_ddim_is_euler_on_the_sigma_form():
    """Exponential Euler on the data form and Euler on the sigma form are one formula, on one grid."""
    one, _ = ours(samplers.ddim(), VP(), START, steps=13)
    other, _ = ours(samplers.euler(), VP(), START, steps=13)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_ddim_is_equation_12_of_the_paper():
    mine, levels = ours(samplers.ddim(), VP(), START, steps=13, last=False)
    y = START / VP().alpha(1.0)
    for t, s in pairwise(levels):
        data = denoised(y, t)
        y = data + s * (y - data) / t
    torch.testing.assert_close(mine, y * VP().alpha(VP().t_min), rtol=0, atol=1e-11)


@pytest.mark.parametrize("steps", [4, 30])
def test_ddpm_is_euler_ancestral(steps):
    """k-diffusion's sample_euler_ancestral with eta = 1, line by line, on the sampler's own levels."""
    mine, levels = ours(samplers.ddpm(), EDM(), 80 * START, normals(steps), last=False, steps=steps)
    x = 80 * START
    for (sigma, to), z in zip(pairwise(levels), normals(steps), strict=True):
        up = min(to, (to**2 * (sigma**2 - to**2) / sigma**2) ** 0.5)
        down = (to**2 - up**2) ** 0.5
        data = denoised(x, sigma)
        x = x + (x - data) / sigma * (down - sigma) + z * up
    torch.testing.assert_close(mine, x, rtol=0, atol=1e-10)


def test_ddim_with_eta_one_is_ddpm():
    one, _ = ours(samplers.ddim(eta=1.0), VP(), START, normals(9), steps=9)
    other, _ = ours(samplers.ddpm(), VP(), START, normals(9), steps=9)
    assert torch.equal(one, other)


def test_dpm_solver_pp_2m_is_algorithm_2_with_exact_integrals():
    """y_s = e^-h y + (1 - e^-h) D_0 + (h - 1 + e^-h)/h_0 (D_0 - D_1), h and h_0 this step and the one before in log kappa."""
    mine, levels = ours(samplers.dpmpp_2m(), EDM(), 80 * START, steps=12, last=False)
    y, before, older = 80 * START, 0.0, None
    for t, s in pairwise(levels):
        h, data = math.log(t / s), denoised(y, t)
        step = math.exp(-h) * y - math.expm1(-h) * data
        if older is not None:
            step = step + (h + math.expm1(-h)) / before * (data - older)
        y, before, older = step, h, data
    torch.testing.assert_close(mine, y, rtol=0, atol=1e-10)


def test_heun_without_churn_is_the_stochastic_sampler_of_edm():
    one, _ = ours(samplers.edm_stochastic(churn=0.0), EDM(), 80 * START, normals(9), steps=9)
    other, _ = ours(samplers.edm(), EDM(), 80 * START, steps=9)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_other_names_of_one_sampler_are_one():
    for one, other in (("euler_a", "ddpm"), ("dpm_solver_pp_2", "dpmpp_2m"), ("heun/karras", "edm")):
        a, b = samplers.parse(one).with_steps(6), SAMPLERS[other]().with_steps(6)
        noise = normals(6) if a.build(VP(), DENOISER)[0].equation.stochastic else None
        assert torch.equal(ours(a, VP(), START, noise)[0], ours(b, VP(), START, noise)[0])
