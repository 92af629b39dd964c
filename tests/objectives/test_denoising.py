"""Denoising score matching: where its minimum is, what its value is there, and that its times are fair."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.objectives import DenoisingScoreMatching, MinSNR
from sde_diffusion.objectives.denoising import stratified
from sde_diffusion.plugins import implementations
from sde_diffusion.sde import VP, LinearSDE

PROCESSES = [cls() for cls in implementations("sde_diffusion.sde", LinearSDE).values()]
MEAN, VARIANCE = 0.6, 0.5


def constant(sde, t):
    return torch.full_like(t, 3.0)


class Line(torch.nn.Module):
    """slope x + shift, for one level."""

    def __init__(self, slope: float, shift: float):
        super().__init__()
        self.line = torch.nn.Parameter(torch.tensor([slope, shift], dtype=torch.float64))

    def forward(self, x, kernel):
        return self.line[0] * x + self.line[1]


def expected_loss(denoiser, sde, t: float):
    """E over x_0 ~ N(MEAN, VARIANCE) and eps of the loss at t: Gauss-Hermite, exact for an affine denoiser."""
    z, w = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(5))
    w = w / w.sum()
    data, noise = torch.meshgrid(MEAN + math.sqrt(VARIANCE) * z, z, indexing="ij")
    times = torch.full((25,), t, dtype=torch.float64)
    loss = DenoisingScoreMatching(constant).at(denoiser, sde, data.reshape(-1, 1), noise.reshape(-1, 1), times)
    return torch.outer(w, w).reshape(-1) @ loss


@pytest.mark.parametrize("sde", PROCESSES, ids=lambda sde: type(sde).__name__)
@pytest.mark.parametrize("share", [0.02, 0.4, 0.95])
def test_the_minimum_is_the_posterior_mean(sde, share):
    """At E[x_0 | x_t] the gradient is zero and the value is the weight times the posterior variance, in closed form."""
    t = sde.t_min + share * (sde.horizon - sde.t_min)
    kernel = sde.kernel(t)
    seen = kernel.alpha**2 * VARIANCE + kernel.sigma**2
    slope = kernel.alpha * VARIANCE / seen
    best = Line(slope, MEAN - slope * kernel.alpha * MEAN)
    loss = expected_loss(best, sde, t)
    (gradient,) = torch.autograd.grad(loss, best.line)
    assert loss.item() == pytest.approx(3.0 * VARIANCE * kernel.sigma**2 / seen, rel=1e-9)
    torch.testing.assert_close(gradient, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9 * math.sqrt(1 + seen))
    worse = Line(slope + 0.1, MEAN - slope * kernel.alpha * MEAN)
    excess = 3.0 * 0.1**2 * (seen + (kernel.alpha * MEAN) ** 2)
    assert (expected_loss(worse, sde, t) - loss).item() == pytest.approx(excess, rel=1e-6)


def test_a_samples_loss_is_the_mean_over_its_event_and_its_own():
    """Compared with a loop over samples and coordinates; the weight is the sample's own too."""
    sde, loss = VP(), DenoisingScoreMatching()
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 4, 2, 3, generator=generator, dtype=torch.float64)
    t = torch.tensor([0.05, 0.2, 0.5, 0.9], dtype=torch.float64)
    denoiser = Line(0.3, -0.2)
    whole = loss.at(denoiser, sde, x0, noise, t)
    for i in range(4):
        alpha, sigma = sde.alpha(t[i].item()), sde.sigma(t[i].item())
        errors = [
            (0.3 * (alpha * a + sigma * e) - 0.2 - a) ** 2
            for a, e in zip(x0[i].flatten().tolist(), noise[i].flatten().tolist(), strict=True)
        ]
        assert whole[i].item() == pytest.approx((alpha / sigma) ** 2 * sum(errors) / 6)


def test_the_mean_loss_is_the_integral_over_time():
    """1500 batches of 2 with an exact denoiser against quadrature over t, within 5 standard errors.

    Two shares are the fewest, so that a time drawn unfairly within its share would shift the mean most.
    """
    sde, weighting = VP(), MinSNR(5.0)
    loss, denoiser = DenoisingScoreMatching(weighting), ExactDenoiser(Gaussian([MEAN], [[VARIANCE]]))
    generator = torch.Generator().manual_seed(1)
    x0 = MEAN + math.sqrt(VARIANCE) * torch.randn(1500, 2, 1, generator=generator, dtype=torch.float64)
    batches = torch.stack([loss(denoiser, sde, batch, generator).mean() for batch in x0])
    t = sde.t_min + (sde.horizon - sde.t_min) * (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    variance = VARIANCE * sde.sigma(t) ** 2 / (sde.alpha(t) ** 2 * VARIANCE + sde.sigma(t) ** 2)
    exact = (weighting(sde, t) * variance).mean().item()
    error = batches.std().item() / math.sqrt(len(batches))
    assert error < 0.05 * exact, "too few batches to see a bias"
    assert abs(batches.mean().item() - exact) < 5 * error


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_each_share_is_drawn_from_once(count):
    u = stratified(torch.zeros(count, 3), torch.Generator().manual_seed(2))
    assert u.dtype == torch.float64
    assert (u * count).floor().sort().values.tolist() == list(range(count))


def test_every_place_in_the_batch_sees_every_time_alike():
    """20000 draws at each of 4 places: mean and second moment of a uniform number, within 5 standard errors."""
    generator, zeros = torch.Generator().manual_seed(3), torch.zeros(4, 1)
    u = torch.stack([stratified(zeros, generator) for _ in range(20_000)])
    for power, mean, variance in ((1, 1 / 2, 1 / 12), (2, 1 / 3, 4 / 45)):
        error = math.sqrt(variance / len(u))
        torch.testing.assert_close(u.pow(power).mean(0), torch.full((4,), mean).double(), rtol=0, atol=5 * error)


def test_the_generator_decides():
    loss, x0 = DenoisingScoreMatching(), torch.ones(6, 2)
    once, again, other = (loss(Line(0.5, 0.0), VP(), x0, torch.Generator().manual_seed(k)) for k in (5, 5, 6))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
